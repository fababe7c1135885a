# SPDX-License-Identifier: Apache-2.0
"""qcow images with AES: each tool's are read and written by both."""

import shutil

from harness.tool import differences
from operations import content, unnumbered
from table import KIB, MIB

SECRET = ("--object", "secret,id=s,data=abc", "--object", "secret,id=other,data=xyz")
OPTIONS = "encrypt.format=aes,encrypt.key-secret=s"
SIZE = 2 * MIB + 3 * KIB
REFUSED = (
    ("create", "-f", "qcow", "-o", "encryption=on", "made", "1M"), ("create", *SECRET, "-f", "qcow", "-o", "encrypt.format=luks,encrypt.key-secret=s", "made", "1M"),
    ("create", "-f", "qcow", "-o", "encrypt.format=aes,encrypt.key-secret=none", "made", "1M"), ("create", "-f", "qcow", "-o", "encrypt.key-secret=s", "made", "1M"),
    ("create", "-f", "qcow", "-o", "encryption=on,encrypt.format=aes", "made", "1M"), ("create", *SECRET, "-f", "qcow", "-o", f"{OPTIONS},encrypt.iter-time=9", "made", "1M"),
    ("convert", *SECRET, "-c", "-O", "qcow", "-o", OPTIONS, "source.raw", "made"), ("map", "image"), ("convert", "image", "made"), ("check", "image"),
    ("map", *SECRET, "--image-opts", "driver=qcow,encrypt.key-secret=s,encrypt.format=luks,file.filename=image"),
    ("map", *SECRET, "--image-opts", "driver=qcow,encrypt.key-secret=s,encrypt.iter-time=5,file.filename=image"),
    ("info", "image"), ("info", "--output=json", "image"), ("resize", *SECRET, "--image-opts", "driver=qcow,encrypt.key-secret=s,file.filename=image", "9M"),
)


def opened(name, key="s"):
    return f"driver=qcow,encrypt.key-secret={key},file.filename={name}"


class Encrypted:
    """Called with a folder; gives the checks."""

    def __init__(self, oracle, tool):
        self.tools = (oracle, tool)
        self.oracle, self.tool = oracle, tool

    def __call__(self, top):
        data = content(SIZE)
        for maker in self.tools:
            folder = top / maker.label
            folder.mkdir()
            (folder / "source.raw").write_bytes(data)
            (folder / "reversed.raw").write_bytes(data[::-1])
            maker.must("convert", *SECRET, "-O", "qcow", "-o", OPTIONS, "source.raw", "image", cwd=folder)
            maker.must("create", "-q", *SECRET, "-f", "qcow", "-o", OPTIONS, "-b", "source.raw", "-F", "raw", "overlay", cwd=folder)
            for name in ("image", "overlay"):
                yield from self.read_and_written(maker, folder, name, data)
            yield f"noise of {maker.label} by another key", self.noise(folder)
        folders = {tool: top / tool.label for tool in self.tools}
        for command in REFUSED:
            yield " ".join(command), differences(command[0], *(unnumbered(tool.run(*command, cwd=folders[tool])) for tool in self.tools))

    def read_and_written(self, maker, folder, name, data):
        what = f"{maker.label}'s {name}"
        for reader in self.tools:
            yield f"{reader.label} reads {what}", self.reads(reader, folder, name, data)
        yield f"map of {what}", differences("map", *(tool.run("map", *SECRET, "--output=json", "--image-opts", opened(name), cwd=folder) for tool in self.tools))
        for writer in self.tools:
            shutil.copyfile(folder / name, folder / "changed")
            writer.must("convert", *SECRET, "-n", "--target-image-opts", "reversed.raw", opened("changed"), cwd=folder)
            for reader in self.tools:
                yield f"{reader.label} reads what {writer.label} wrote to {what}", self.reads(reader, folder, "changed", data[::-1])

    def reads(self, reader, folder, name, data):
        reader.must("convert", *SECRET, "--image-opts", "-O", "raw", opened(name), "out.raw", cwd=folder)
        return [] if (folder / "out.raw").read_bytes() == data else ["it differs"]

    def noise(self, folder):
        contents = []
        for reader in self.tools:
            reader.must("convert", *SECRET, "--image-opts", "-O", "raw", opened("image", "other"), "out.raw", cwd=folder)
            contents.append((folder / "out.raw").read_bytes())
        return [] if contents[0] == contents[1] else ["it differs"]
