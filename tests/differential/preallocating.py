# SPDX-License-Identifier: Apache-2.0
"""What `resize --preallocation` takes on the storage, from and to sizes that end inside of clusters: as much as with the genuine tool,
and the same block status. And amend to version 2 of images whose compression type version 2 doesn't have."""

import itertools
import json
import shutil

from harness.tool import differences

OPTIONS = ("cluster_size=512", "cluster_size=4k", "cluster_size=64k", "cluster_size=1M", "extended_l2=on", "refcount_bits=1", "compat=0.10")
SIZES = ((1337344, 2385920), (3018752, 3592704), (1 << 20, 5 << 20), (65024, 65536))
MODES = ("falloc", "full")
WRITTEN = 100 << 10  # bytes from the beginning on
CLOSE = 48 << 10  # bytes: refcount blocks and tables may lie elsewhere


def runs(oracle, folder):
    """Block status without where the data lies."""
    found = []
    for run in json.loads(oracle.must("map", "--output=json", "image", cwd=folder).out):
        state = {key: value for key, value in run.items() if key not in ("start", "length", "offset")}
        if found and found[-1][1] == state:
            found[-1][0] += run["length"]
        else:
            found.append([run["length"], state])
    return found


def resized(oracle, tool, options, sizes, mode):
    def case(folder):
        theirs, ours = folder / "theirs", folder / "ours"
        theirs.mkdir()
        oracle.must("create", "-q", "-f", "qcow2", "-o", options, "image", sizes[0], cwd=theirs)
        oracle.io("image", f"write -P 7 0 {min(sizes[0], WRITTEN)}", cwd=theirs)
        shutil.copytree(theirs, ours)
        before = (ours / "image").stat().st_blocks * 512
        for maker, place in ((oracle, theirs), (tool, ours)):
            maker.must("resize", "-q", f"--preallocation={mode}", "image", sizes[1], cwd=place)
        used = [(place / "image").stat().st_blocks * 512 - before for place in (theirs, ours)]
        yield "space", [] if sizes[1] - sizes[0] - CLOSE <= used[1] <= used[0] + CLOSE else [f"grown by, genuine: {used[0]}, ours: {used[1]}"]
        wanted, got = runs(oracle, theirs), runs(oracle, ours)
        # Subclusters of ours are said to be there.
        yield "map", [] if wanted == got or "extended" in options else [f"genuine: {wanted}", f"ours: {got}"]
        compared = oracle.run("compare", "theirs/image", "ours/image", cwd=folder)
        checked = oracle.run("check", "image", cwd=ours)
        yield "content", [str(result) for result in (compared, checked) if result.status]

    return case


def downgraded(oracle, tool, name, commands):
    def case(folder):
        theirs, ours = folder / "theirs", folder / "ours"
        theirs.mkdir()
        oracle.must("create", "-q", "-f", "qcow2", "-o", "compression_type=zstd", "image", "4M", cwd=theirs)
        oracle.io("image", *commands, cwd=theirs)
        shutil.copytree(theirs, ours)
        args = ("amend", "-f", "qcow2", "-o", "compat=0.10", "image")
        wanted, got = oracle.run(*args, cwd=theirs), tool.run(*args, cwd=ours)
        problems = differences("amend", wanted, got)
        problems += differences("info", *(oracle.run("info", "image", cwd=place) for place in (theirs, ours)))
        compared = oracle.run("compare", "theirs/image", "ours/image", cwd=folder)
        checked = oracle.run("check", "image", cwd=ours)
        yield name, problems + [str(result) for result in (compared, checked) if result.status]

    return case


def cases(oracle, tool):
    found = [(f"preallocating {options} {sizes} {mode}", resized(oracle, tool, options, sizes, mode))
             for options, sizes, mode in itertools.product(OPTIONS, SIZES, MODES)]
    return found + [(f"zstd to version 2, {name}", downgraded(oracle, tool, name, commands)) for name, commands in (
        ("empty", ()), ("plain data", ("write -P 1 0 1M", "write -z 1M 1M")), ("packed data", ("write -c -P 1 0 64k",)))]
