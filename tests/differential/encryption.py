# SPDX-License-Identifier: Apache-2.0
"""Cases about encrypted qcow2 images: each tool makes them and writes to the other's, each reads what the other wrote."""

import itertools
import json

from content import commands, mix, random_bytes, write_samples
from harness.results import same_bytes
from harness.tool import differences

SIZE = (3 << 20) + 3 * 512
SECRET = ("--object", "secret,id=s,data=geheim")

CIPHERS = ("aes-128", "aes-192", "aes-256", "serpent-128", "serpent-192", "serpent-256", "twofish-128", "twofish-256", "cast5-128")
MODES = ("xts", "cbc", "ctr", "ecb")
GENERATORS = ("plain64", "plain", "essiv")
HASHES = ("sha256", "sha1", "sha512", "ripemd160", "sha224", "sha384", "md5", "sm3")

# (cipher, mode, IV generator, hash), options of the image
USUAL = (
    ("", ""), ("", "cluster_size=512"), ("", "cluster_size=2M"), ("", "extended_l2=on"), ("", "compat=0.10"), ("", "data_file=image.data"),
    ("", "preallocation=metadata"), ("", "preallocation=full"), ("aes", ""), ("aes", "compat=0.10,cluster_size=4k"),
    (("aes-128", "cbc", "essiv", "sha1"), ""), (("aes-192", "xts", "plain", "sha512"), ""), (("aes-256", "ctr", "plain64", "sha224"), ""),
    (("serpent-256", "xts", "plain64", "ripemd160"), ""), (("twofish-128", "ecb", "plain64", "sha384"), ""), (("cast5-128", "cbc", "plain64", "md5"), ""),
)


def every_cipher():
    """All that can be combined; a hash for each, in turn."""
    combined = itertools.product(CIPHERS, MODES, GENERATORS)
    return [((*choice, digest), "") for choice, digest in zip(combined, itertools.cycle(HASHES))]


def options_of(kind, options):
    if kind == "aes":
        named = ["encrypt.format=aes"]
    else:
        named = ["encrypt.format=luks", "encrypt.iter-time=10"]
        named += [f"encrypt.{name}={value}" for name, value in zip(("cipher-alg", "cipher-mode", "ivgen-alg", "hash-alg"), kind or ())]
    return ",".join([*named, "encrypt.key-secret=s", *filter(None, [options])])


def opened(image):
    return f"driver=qcow2,encrypt.key-secret=s,file.filename={image}"


class EncryptedImage:
    """All checks of one kind of encryption. Both tools work in one folder."""

    def __init__(self, oracle, tool, kind, options):
        self.oracle = oracle
        self.tool = tool
        self.options = options_of(kind, options)
        self.external = "data_file" in options
        self.folder = None

    def __call__(self, folder):
        self.folder = folder
        samples = folder / "samples"
        samples.mkdir()
        write_samples(samples)
        (folder / "plain.raw").write_bytes(bytes(SIZE))
        self.oracle.io("plain.raw", *commands(mix(SIZE, samples)), cwd=folder, options=("-f", "raw"))
        (folder / "other.raw").write_bytes(random_bytes(SIZE, 7))
        wanted, got = self.convert(self.oracle, "theirs"), self.convert(self.tool, "ours")
        if wanted.status is not None and wanted.status < 0:  # it crashes where a key of stripes does not end with a sector
            yield "read by itself", [got.err] if got.status else self.read_by(self.tool, "ours", "plain.raw")
            return
        if wanted.status:  # this can't be combined
            yield "refused", [] if got.status == wanted.status and got.err == wanted.err.replace("theirs", "ours") else [f"{wanted}", f"{got}"]
            return
        yield "convert", differences("convert", wanted, got)
        for image in ("theirs", "ours"):
            yield f"{image} is read", self.holds(image, "plain.raw")
            yield f"{image} is written to by both", self.written_to(image)
        yield "info", self.described()
        yield "a wrong password", self.wrong_password()

    def convert(self, tool, image):
        options = self.options.replace("image.data", f"{image}.data")
        return tool.run("convert", "-O", "qcow2", *SECRET, "-o", options, "plain.raw", image, cwd=self.folder)

    def holds(self, image, content):
        """Both read it, and it is sound."""
        checked = self.oracle.run("check", *SECRET, "--image-opts", opened(image), cwd=self.folder)
        problems = [] if checked.status == 0 else [f"check: {checked}"]
        for tool in (self.oracle, self.tool):
            problems += self.read_by(tool, image, content)
        return problems + self.both("map", "--output=json", *SECRET, "--image-opts", opened(image))

    def read_by(self, tool, image, content):
        (self.folder / "back.raw").unlink(missing_ok=True)
        read = tool.run("convert", *SECRET, "--image-opts", opened(image), "-O", "raw", "back.raw", cwd=self.folder)
        if read.status:
            return [f"{tool.label}: {read.err}"]
        return [f"{tool.label}: {line}" for line in same_bytes(self.folder / content, self.folder / "back.raw")]

    def both(self, *args):
        return differences(" ".join(args), self.oracle.run(*args, cwd=self.folder), self.tool.run(*args, cwd=self.folder))

    def written_to(self, image):
        problems = []
        for tool, content in ((self.tool, "other.raw"), (self.oracle, "plain.raw"), (self.tool, "plain.raw")):
            wrote = tool.run("convert", "-n", *SECRET, "--image-opts", "--target-image-opts", f"driver=raw,file.filename={content}", opened(image), cwd=self.folder)
            if wrote.status:
                problems.append(f"{tool.label}: {wrote.err}")
            problems += self.holds(image, content)
        script = ("write -P 3 1000 70000", "write -z 64k 3k", "discard 1M 128k", "write -P 4 1100000 100")
        self.oracle.io(opened(image), *script, cwd=self.folder, options=("-d", "unmap", *SECRET, "--image-opts"))
        # What a discard leaves is the tool's own choice: the model is what the genuine tool reads.
        self.oracle.must("convert", *SECRET, "--image-opts", opened(image), "-O", "raw", "model.raw", cwd=self.folder)
        return problems + self.holds(image, "model.raw")

    def described(self):
        left, right = (self.oracle.must("info", "--output=json", image, cwd=self.folder).plain().out for image in ("theirs", "ours"))
        left, right = (json.loads(text)["format-specific"] for text in (left, right.replace("ours.data", "theirs.data")))
        problems = [] if left == right else [f"{left}", f"{right}"]
        for image in ("theirs", "ours"):
            problems += self.both("info", image) + self.both("info", "--output=json", "--backing-chain", image)
        return problems

    def wrong_password(self):
        problems = []
        for data in ("falsch", "geheim "):
            problems += self.both("map", "--object", f"secret,id=s,data={data}", "--image-opts", opened("theirs"))
        return problems


class EncryptedChain:
    """An encrypted image over an encrypted one with another cipher: what is copied up passes through both."""

    def __init__(self, oracle, tool):
        self.oracle = oracle
        self.tool = tool

    def __call__(self, folder):
        samples = folder / "samples"
        samples.mkdir()
        write_samples(samples)
        (folder / "plain.raw").write_bytes(bytes(SIZE))
        self.oracle.io("plain.raw", *commands(mix(SIZE, samples)), cwd=folder, options=("-f", "raw"))
        base = json.dumps({"driver": "qcow2", "encrypt.key-secret": "s", "file.filename": "base"})
        for tool in (self.oracle, self.tool):
            (folder / "model.raw").write_bytes((folder / "plain.raw").read_bytes())
            tool.must("convert", "-O", "qcow2", *SECRET, "-o", options_of(("serpent-128", "cbc", "essiv", "sha256"), "cluster_size=4k"), "plain.raw", "base", cwd=folder)
            tool.must("create", "-q", "-f", "qcow2", *SECRET, "-o", options_of("", ""), "-b", f"json:{base}", "-F", "qcow2", "over", cwd=folder)
            script = ("write -P 8 1536 512", "write -P 9 700000 1000", "write -z 2M 1k", f"write -P 7 {SIZE - 512} 512")
            self.oracle.io(opened("over"), *script, cwd=folder, options=(*SECRET, "--image-opts"))
            self.oracle.io("model.raw", *script, cwd=folder, options=("-f", "raw"))
            image = EncryptedImage(self.oracle, self.tool, "", "")
            image.folder = folder
            yield f"made by {tool.label}", image.holds("over", "model.raw")
            yield f"made by {tool.label}: info", image.both("info", "--backing-chain", "--output=json", "over")


def name_of(kind, options):
    return " ".join(filter(None, ["encrypted", kind if isinstance(kind, str) else "-".join(kind), options]))


def cases(oracle, tool, everything):
    specs = [*USUAL, *(every_cipher() if everything else ())]
    found = [(name_of(*spec), EncryptedImage(oracle, tool, *spec)) for spec in specs]
    return [*found, ("encrypted chain", EncryptedChain(oracle, tool))]
