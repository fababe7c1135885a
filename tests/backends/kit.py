# SPDX-License-Identifier: Apache-2.0
"""The conformance kit on what a server has."""

import pathlib


def conformance(tool, folder, target, plugin, *more):
    kit = pathlib.Path(tool.program).with_name("instar-conformance")
    got = tool.run("--target", target, *more, plugin, cwd=folder, program=kit)
    failed = [line for line in got.out.splitlines() if line.startswith(("Failed", "Crashed", "Hung"))]
    yield "conformance", [] if got.status == 0 else failed or [str(got)]
