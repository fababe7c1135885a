# SPDX-License-Identifier: Apache-2.0
"""Transcripts: reading, running and writing them."""

import pathlib
import shlex
import subprocess
import tempfile
from typing import NamedTuple

import fixtures
from harness.tool import told_apart, without_volatile


class Step(NamedTuple):
    """A line to run and what it is to print; preparations print nothing."""

    command: str
    prepares: bool
    wanted: str


def read(path):
    """Comments at the top, and the steps."""
    comments, steps = [], []
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.startswith(("$ ", "% ")):
            steps.append(Step(line[2:].rstrip("\n"), line[0] == "%", ""))
        elif steps:
            steps[-1] = steps[-1]._replace(wanted=steps[-1].wanted + line)
        else:
            comments.append(line)
    return "".join(comments), steps


def printed(result):
    """How a transcript shows a result. A carriage return is shown as \\r, an end without a newline by a backslash."""
    text = result.out.replace("\r", "\\r")
    if text and not text.endswith("\n"):
        text += "\\\n"
    lines = (f"! {line}\n" for line in result.err.splitlines())
    return f"{text}{''.join(lines)}[rc={result.status}]\n"


class Runner:
    """Runs the steps of one transcript in a folder; tool is found there by the names qemu-img and instar."""

    def __init__(self, tool, folder):
        self.tool = tool
        self.folder = pathlib.Path(folder)
        self.bin = self.folder / ".bin"
        self.bin.mkdir()
        for name in ("qemu-img", "instar"):
            (self.bin / name).symlink_to(tool.program)

    def run(self, step):
        if step.prepares:
            self.prepare(step.command)
            return ""
        script = f"PATH={shlex.quote(str(self.bin))}:$PATH; {step.command}"
        result = self.tool.run("-c", script, cwd=self.folder, program="/bin/sh").plain()
        return printed(result._replace(err=result.err.replace(str(self.bin) + "/", "")))

    def prepare(self, command):
        if command.startswith("image "):
            fixtures.unpack(command.split()[1], self.folder)
        else:
            subprocess.run(command, shell=True, check=True, cwd=self.folder, stdout=subprocess.DEVNULL)


class Case:
    """One transcript as a case of a suite; every command is a check."""

    def __init__(self, tool, path):
        self.tool = tool
        self.path = path

    def __call__(self, folder):
        runner = Runner(self.tool, folder)
        for step in read(self.path)[1]:
            got = runner.run(step)
            if not step.prepares:
                yield step.command, [] if got == step.wanted else told_apart(step.wanted, got)


def update(tool, path):
    comments, steps = read(path)
    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(tool, folder)
        text = "".join(f"{'%' if step.prepares else '$'} {step.command}\n{runner.run(step)}" for step in steps)
    path.write_text(comments + text, encoding="utf-8")
