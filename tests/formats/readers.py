#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Readers that share no code with either tool: 7z and libyal's libraries. Whatever they know of a format, they read what
ours wrote as it was meant.

The file is also a program for Debian's python3, which has libyal's modules: readers.py FORMAT IMAGE gives the content."""

import importlib
import pathlib
import shutil
import subprocess
import sys

LIBYAL = {"qcow": "pyqcow", "qcow2": "pyqcow", "vmdk": "pyvmdk", "vpc": "pyvhdi", "vhdx": "pyvhdi"}
CHUNK = 1 << 20


def seven_zip(image, ending):
    """@param ending of file names by which 7z knows the format"""
    named = image.with_name(f"image.{ending}")
    if named != image:
        shutil.copyfile(image, named)
    return content_of("7z", "e", "-so", named)


def libyal(image, name):
    """@param name of the format"""
    return content_of("/usr/bin/python3", pathlib.Path(__file__).resolve(), name, image)


def content_of(*command):
    """The bytes that a program gives, or None and what it said."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
    if done.returncode:
        return None, done.stderr.decode(errors="replace").strip()[-500:]
    return done.stdout, ""


def main(name, image):
    module = importlib.import_module(LIBYAL[name])
    if name == "vmdk":
        file = module.handle()
        file.open(image)
        file.open_extent_data_files()
    else:
        file = module.file()
        file.open(image)
    while data := file.read(CHUNK):
        sys.stdout.buffer.write(data)


if __name__ == "__main__":
    main(*sys.argv[1:])
