# SPDX-License-Identifier: Apache-2.0
"""Random backing chains, and on copies of each the same resize, amend, rebase and commit by both tools: what they say, what
the images read as, how they describe themselves, and what the genuine check finds."""

import os
import random
import shutil
import signal
import subprocess
import time

from harness.tool import ENVIRONMENT, differences, without_length

UNIT = 128 << 10  # what sizes are shrunk to: the genuine tool leaves old bytes in the rest of a cluster
SIZES = ("512", "4096", "65536", "131072")


class Chain:
    """Images 0 (the base) to the top, as they are made in a folder."""

    def __init__(self, seed):
        self.dice = random.Random(seed)
        self.names, self.formats, self.sizes = [], [], []

    def make(self, oracle, folder):
        folder.mkdir()
        for level in range(self.dice.randint(2, 4)):
            size = self.dice.randint(4, 24) * UNIT
            image_format = "raw" if level == 0 and self.dice.random() < 0.3 else "qcow2"
            name = f"image{level}"
            args = ["create", "-q", "-f", image_format]
            if image_format == "qcow2":
                args += ["-o", self.options(level)]
            if level:
                args += ["-b", self.names[-1], "-F", self.formats[-1]]
            oracle.must(*args, name, str(size), cwd=folder)
            self.names.append(name)
            self.formats.append(image_format)
            self.sizes.append(size)
            self.write(oracle, folder, level)
        # Another base, which begins as a copy of the first one.
        oracle.must("convert", "-f", self.formats[0], "-O", "qcow2", self.names[0], "other", cwd=folder)
        subprocess.run([oracle.qemu_io, "-f", "qcow2", "-c", f"write -P 77 {self.dice.randint(0, 6) * 65536} 100k", "other"],
                       cwd=folder, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)

    def options(self, level):
        options = [f"cluster_size={self.dice.choice(SIZES)}"]
        if self.dice.random() < 0.2 and level:
            options = ["cluster_size=65536", "extended_l2=on"]
        elif self.dice.random() < 0.2:
            options.append("compat=0.10")
        elif self.dice.random() < 0.3:
            options.append(f"refcount_bits={self.dice.choice((8, 32, 64))}")
        return ",".join(options)

    def write(self, oracle, folder, level):
        commands = []
        for number in range(self.dice.randint(1, 8)):
            begin = self.dice.randrange(0, self.sizes[level] - 512, 512)
            length = min(self.dice.choice((512, 4096, 65536, 200 << 10)), self.sizes[level] - begin)
            zero = self.dice.random() < 0.2
            commands += ["-c", f"write {'-z' if zero else f'-P {1 + level * 40 + number}'} {begin} {length}"]
        subprocess.run([oracle.qemu_io, "-f", self.formats[level], *commands, self.names[level]], cwd=folder, env=ENVIRONMENT,
                       stdout=subprocess.DEVNULL, check=True)
        if self.formats[level] == "qcow2" and self.dice.random() < 0.2:
            oracle.must("snapshot", "-c", "s", self.names[level], cwd=folder)
            subprocess.run([oracle.qemu_io, "-f", "qcow2", "-c", "write -P 99 0 70000", self.names[level]], cwd=folder,
                           env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)

    def step(self):
        """A random command line that changes the chain."""
        top = len(self.names) - 1
        kind = self.dice.choice(("resize", "resize", "amend", "amend", "rebase", "rebase", "commit"))
        if kind == "resize":
            level = self.dice.randint(0, top)
            size = self.dice.randint(1, 32) * UNIT
            mode = self.dice.choice(("", "", "metadata", "falloc", "full"))
            mode = [f"--preallocation={mode}"] if mode else []
            return ["resize", "--shrink", *mode, "-f", self.formats[level], self.names[level], str(size)]
        if kind == "amend":
            option = self.dice.choice(("compat=0.10", "compat=1.1", "compat=1.1,lazy_refcounts=on", "lazy_refcounts=off", "refcount_bits=64",
                                       "refcount_bits=16", "refcount_bits=1", "refcount_bits=2,compat=v3", f"size={self.dice.randint(8, 40) * UNIT}"))
            return ["amend", "-f", "qcow2", "-o", option, self.names[top]]
        if kind == "rebase":
            args = ["rebase", "-f", "qcow2"] + (["-c"] if self.dice.random() < 0.3 else [])
            target = self.dice.randint(-2, top - 1)
            if target == -2:
                return [*args, "-b", "", self.names[top]]
            if target == -1:
                return [*args, "-b", self.dice.choice(("other", "./././other")), "-F", "qcow2", self.names[top]]
            return [*args, "-b", self.names[target], "-F", self.formats[target], self.names[top]]
        args = ["commit", "-f", "qcow2"] + (["-d"] if self.dice.random() < 0.3 else [])
        if self.dice.random() < 0.4:
            args += ["-b", self.names[self.dice.randint(0, top - 1)]]
        return [*args, self.names[top]]


def sound(oracle, folder, names):
    """What the genuine check says against the images."""
    problems = []
    for name in names:
        result = oracle.run("check", "-f", "qcow2", name, cwd=folder)
        if result.status not in (0, 63):
            problems.append(f"check {name}: {result.status} {result.out} {result.err}")
    return problems


def same_images(oracle, chain, theirs, ours):
    problems = []
    for name, image_format in zip([*chain.names, "other"], [*chain.formats, "qcow2"]):
        compared = oracle.run("compare", "-U", "-f", image_format, "-F", image_format, str(theirs / name), str(ours / name), cwd=theirs.parent)
        if compared.status != 0:
            problems.append(f"{name}: {compared.out.strip()} {compared.err.strip()}")
        told = [without_length(oracle.run("info", "-f", image_format, "--output=json", name, cwd=folder).plain().out) for folder in (theirs, ours)]
        if told[0] != told[1]:
            problems.append(f"info of {name}: genuine {told[0]} ours {told[1]}")
        if image_format == "qcow2":
            problems += sound(oracle, ours, [name])
    return problems


def random_chain(oracle, tool, seed):
    def case(folder):
        chain = Chain(seed)
        theirs, ours = folder / "theirs", folder / "ours"
        chain.make(oracle, theirs)
        shutil.copytree(theirs, ours)
        for number in range(4):
            args = chain.step()
            wanted, got = oracle.run(*args, cwd=theirs), tool.run(*args, cwd=ours)
            if wanted.status is None or wanted.status < 0:
                yield f"{number} {' '.join(args)} (the genuine tool dies)", sound(oracle, ours, ["other"])
                return
            problems = differences(" ".join(args), wanted, got)
            yield f"{number} {' '.join(args)}", problems + same_images(oracle, chain, theirs, ours)
            if problems:
                return

    return case


KILLED = (
    ["resize", "--shrink", "-f", "qcow2", "top", "3M"],
    ["resize", "-f", "qcow2", "--preallocation=full", "top", "96M"],
    ["amend", "-f", "qcow2", "-o", "refcount_bits=64", "top"],
    ["amend", "-f", "qcow2", "-o", "compat=0.10", "top"],
    ["rebase", "-f", "qcow2", "-b", "", "top"],
    ["rebase", "-f", "qcow2", "-b", "other", "-F", "qcow2", "top"],
    ["commit", "-f", "qcow2", "top"],
)


def killed(oracle, tool, args, rounds=6):
    """The call is killed at several moments and made again: the images end as if it had run once."""

    def case(folder):
        made, whole = folder / "made", folder / "whole"
        made.mkdir()
        for name, value in (("base", 1), ("other", 2)):
            oracle.must("create", "-q", "-f", "qcow2", name, "64M", cwd=made)
            subprocess.run([oracle.qemu_io, "-f", "qcow2", "-c", f"write -P {value} 0 40M", name], cwd=made, env=ENVIRONMENT,
                           stdout=subprocess.DEVNULL, check=True)
        oracle.must("create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "-o", "cluster_size=4096", "top", cwd=made)
        writes = [word for at in range(0, 64 << 20, 1 << 20) for word in ("-c", f"write -P 5 {at} 300k", "-c", f"write -z {at + (500 << 10)} 64k")]
        subprocess.run([oracle.qemu_io, "-f", "qcow2", *writes, "top"], cwd=made, env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
        shutil.copytree(made, whole)
        start = time.monotonic()
        wanted = tool.run(*args, cwd=whole)
        took = time.monotonic() - start
        yield "runs", [] if wanted.status == 0 else [wanted.err]
        for number in range(rounds):
            cut = folder / f"cut{number}"
            shutil.copytree(made, cut)
            with subprocess.Popen([tool.program, *args], cwd=cut, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
                time.sleep(took * (number + 0.5) / rounds)
                process.send_signal(signal.SIGKILL)
            problems = []
            for name in ("base", "top"):
                # One that says of itself that it is dirty is counted anew by whoever opens it for writing.
                dirty = (cut / name).read_bytes()[79] & 1
                if dirty:
                    shutil.copy(cut / name, cut / "repaired")
                result = oracle.run("check", "-f", "qcow2", *(("-r", "all", "repaired") if dirty else (name,)), cwd=cut)
                if result.status not in (0, 3):
                    problems.append(f"after the kill, check {name}: {result.out} {result.err}")
            again = tool.run(*args, cwd=cut)
            # The size is written last: with the new one all was done, and there is nothing left to preallocate.
            if again.status != 0 and "Preallocation can only be used for growing images" not in again.err:
                problems.append(f"again: {again.err}")
            for name in ("base", "top"):
                compared = oracle.run("compare", "-f", "qcow2", "-F", "qcow2", os.path.join(whole, name), os.path.join(cut, name), cwd=folder)
                if compared.status != 0:
                    problems.append(f"{name}: {compared.out} {compared.err}")
            yield f"killed at {number + 1}/{rounds + 1}", problems
            shutil.rmtree(cut)

    return case


OVER = (("another base", (), "other"), ("another base, -B", ("-B", "other"), "other"), ("the same base, -B", ("-B", "base"), "base"), ("a longer base", (), "longer"))


def over(oracle, tool, options, below):
    """An overlay is copied into one that is there: what that shows from below is written over, unless -B says that it is the same."""

    def case(folder):
        for name, size, value in (("base", "1M", 1), ("other", "1500k", 2), ("longer", "3M", 3)):
            oracle.must("create", "-q", "-f", "qcow2", name, size, cwd=folder)
            oracle.io(name, f"write -P {value} 0 {size}", cwd=folder)
        oracle.must("create", "-q", "-f", "qcow2", "-b", "base", "-F", "qcow2", "source", "3M", cwd=folder)
        oracle.io("source", "write -P 4 512k 64k", "write -P 5 2M 64k", "write -z 576k 64k", cwd=folder)
        for maker in (oracle, tool):
            oracle.must("create", "-q", "-f", "qcow2", "-b", below, "-F", "qcow2", maker.label, "3M", cwd=folder)
            maker.must("convert", "-n", *options, "-O", "qcow2", "source", maker.label, cwd=folder)
        compared = oracle.run("compare", "genuine", "ours", cwd=folder)
        yield "", [] if compared.status == 0 else [compared.out]

    return case


def cases(oracle, tool, count, seed):
    found = [(f"chain {seed}.{number}", random_chain(oracle, tool, f"{seed}.{number}")) for number in range(count)]
    found += [(f"convert -n over {name}", over(oracle, tool, options, below)) for name, options, below in OVER]
    return found + [(f"killed {' '.join(args)}", killed(oracle, tool, args)) for args in KILLED]
