# SPDX-License-Identifier: Apache-2.0
"""Small images that only the genuine tools can make yet; kept beside the transcripts, packed."""

import lzma
import pathlib
import tempfile

FOLDER = pathlib.Path(__file__).parent / "images"


def unpack(name, folder):
    (pathlib.Path(folder) / name).write_bytes(lzma.decompress((FOLDER / f"{name}.xz").read_bytes()))


def pack(path):
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{path.name}.xz").write_bytes(lzma.compress(path.read_bytes(), preset=9 | lzma.PRESET_EXTREME))


def make(oracle):
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        oracle.must("create", "-q", "-f", "qcow2", "sn.qcow2", "10M", cwd=folder)
        oracle.io("sn.qcow2", "write -P 1 0 1M", cwd=folder)
        oracle.must("snapshot", "-c", "one", "sn.qcow2", cwd=folder)
        oracle.io("sn.qcow2", "write -P 2 0 64k", cwd=folder)
        oracle.must("snapshot", "-c", "zwei Wörter", "sn.qcow2", cwd=folder)
        oracle.must("snapshot", "-c", "", "sn.qcow2", cwd=folder)
        oracle.must("create", "-q", "-f", "qcow2", "bm.qcow2", "100M", cwd=folder)
        oracle.must("bitmap", "--add", "bm.qcow2", "b0", cwd=folder)
        oracle.must("bitmap", "--add", "-g", "32k", "--disable", "bm.qcow2", "b1", cwd=folder)
        oracle.io("bm.qcow2", "write -P 3 0 128k", cwd=folder)
        oracle.must("create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=abc", "-o", "encrypt.format=aes,encrypt.key-secret=s", "aes.qcow2", "1M", cwd=folder)
        oracle.must("create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on", "dirty.qcow2", "1M", cwd=folder)
        oracle.io("dirty.qcow2", "write -P 4 0 64k", "abort", cwd=folder, check=False)
        oracle.must("create", "-q", "-f", "qcow2", "-o", "extended_l2=on", "ext.qcow2", "1M", cwd=folder)
        oracle.io("ext.qcow2", "write -P 5 6k 10k", "write -z 64k 6k", "write -P 6 128k 64k", "write -z 130k 4k", cwd=folder)
        for path in sorted(folder.glob("*.qcow2")):
            pack(path)
