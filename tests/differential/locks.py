# SPDX-License-Identifier: Apache-2.0
"""Cases about locks: while one tool holds an image, what the other says, and the reverse."""

import contextlib
import os
import subprocess

from harness.tool import ENVIRONMENT, differences

HOLDERS = (("writing", ("-f", "{}")), ("reading", ("-r", "-f", "{}")), ("reading shared", ("-r", "-U", "-f", "{}")), ("writing without locks", ("--image-opts",)))
LINES = (
    "info -f {} image", "info -U -f {} image", "info image", "map -f {} image", "map -U -f {} image", "measure -f {} image", "measure -U -f {} image",
    "convert -f {} -O raw image out", "convert -U -f {} -O raw image out", "convert -n -f raw -O {} source image", "compare -f {} image source",
    "compare -U -f {} image source", "create -f {} image 1M", "create -f qcow2 -b image -F {} over", "create -f qcow2 -u -b image -F {} over 1M",
    "info --backing-chain over.qcow2", "info over.qcow2", "map over.qcow2", "convert -n -f raw -O qcow2 source over.qcow2",
    "info --image-opts driver={},file.locking=off,file.filename=image", "info --image-opts driver={},force-share=on,file.filename=image",
)
SLOW = 16 << 20  # bytes; copied at 1 MiB/s


@contextlib.contextmanager
def held(oracle, image_format, options, folder):
    """qemu-io that has the image open until the end; it says so when it has opened it."""
    args = [option.format(image_format) for option in options]
    name = f"driver={image_format},file.locking=off,file.filename=image" if "--image-opts" in args else "image"
    with subprocess.Popen([oracle.qemu_io, *args, name], cwd=folder, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT) as process:
        # "length" answers only after the open, and nothing is on the way any more then.
        process.stdin.write(b"length\n")
        process.stdin.flush()
        said = b""
        while b"MiB" not in said:
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                raise RuntimeError(f"qemu-io did not open the image: {said!r}")
            said += chunk
        try:
            yield
        finally:
            process.stdin.close()
            process.stdout.read()
            process.wait()


def prepare(oracle, image_format, folder):
    folder.mkdir()
    oracle.must("create", "-q", "-f", image_format, "image", "1M", cwd=folder)
    oracle.must("create", "-q", "-f", "raw", "source", "1M", cwd=folder)
    oracle.must("create", "-q", "-f", "qcow2", "-b", "image", "-F", image_format, "over.qcow2", cwd=folder)


def while_genuine_holds(oracle, tool, image_format, options):
    def case(folder):
        for name in ("theirs", "ours"):
            prepare(oracle, image_format, folder / name)
        for line in LINES:
            args = line.format(image_format).split(" ")
            results = []
            for name, user in (("theirs", oracle), ("ours", tool)):
                with held(oracle, image_format, options, folder / name):
                    results.append(user.run(*args, cwd=folder / name))
            yield " ".join(args), differences("texts", *results)
    return case


def while_ours_holds(oracle, tool, image_format):
    """A conversion slowed down by its rate limit holds its target for writing and its source for reading."""
    def case(folder):
        for name, user in (("theirs", oracle), ("ours", tool)):
            prepare(oracle, image_format, folder / name)
            (folder / name / "source").write_bytes(b"x" * SLOW)
            oracle.must("create", "-q", "-f", image_format, "image", SLOW, cwd=folder / name)
        lines = ("info -f {} image", "info -U -f {} image", "convert -n -f raw -O {} other image", "info -f raw source", "create -f raw source 1M")
        for line in lines:
            args = line.format(image_format).split(" ")
            results = []
            for name, user in (("theirs", oracle), ("ours", tool)):
                place = folder / name
                (place / "other").write_bytes(b"y" * SLOW)
                command = [user.program, "convert", "-r", "1M", "-n", "-f", "raw", "-O", image_format, "source", "image"]
                with subprocess.Popen(command, cwd=place, env=ENVIRONMENT, stdin=subprocess.DEVNULL) as process:
                    try:
                        process.wait(0.5)
                        raise RuntimeError("the slow conversion ended early")
                    except subprocess.TimeoutExpired:
                        results.append(oracle.run(*args, cwd=place))
                    finally:
                        process.kill()
            yield " ".join(args), differences("texts", *results)
    return case


def cases(oracle, tool):
    for image_format in ("raw", "qcow2"):
        for name, options in HOLDERS:
            yield f"locks: {image_format}, the genuine tool is {name}", while_genuine_holds(oracle, tool, image_format, options)
        yield f"locks: {image_format}, ours is writing", while_ours_holds(oracle, tool, image_format)
