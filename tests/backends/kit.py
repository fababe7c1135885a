# SPDX-License-Identifier: Apache-2.0
"""What the cases of all protocols need."""

import pathlib
import signal
import subprocess
import time

from harness.tool import ENVIRONMENT

LOUD = ("--trace", "*")  # in front of a command: all that the tool can log


def shown(done, *secrets):
    """What is wrong with a run that was LOUD: a secret shows, or there is no log in which one could."""
    problems = [] if "module_load_module" in done.err else [f"no log: {done}"]
    return problems + [f"{secret} shows: {done}" for secret in secrets if secret in done.out + done.err]


def conformance(tool, folder, target, plugin, *more, prefix=()):
    """The conformance kit on what a server has."""
    kit = pathlib.Path(tool.program).with_name("instar-conformance")
    got = tool.run("--target", target, *more, plugin, cwd=folder, program=kit, prefix=prefix)
    failed = [line for line in got.out.splitlines() if line.startswith(("Failed", "Crashed", "Hung"))]
    yield "conformance", [] if got.status == 0 else failed or [str(got)]


def interrupted(tool, folder, command, seconds=1.0, prefix=()):
    """Problems of a command that is interrupted when it has run for so long: it has to end within a second."""
    with open(folder / "said", "wb") as said:
        # pylint: disable-next=consider-using-with  # waited for below
        process = subprocess.Popen([*prefix, tool.program, *command], cwd=folder, env=ENVIRONMENT, stdout=said, stderr=said)
    time.sleep(seconds)
    start = time.monotonic()
    process.send_signal(signal.SIGINT)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    took = time.monotonic() - start
    right = process.returncode == -signal.SIGINT and took < 1.5
    return [] if right else [f"status {process.returncode} after {took:.1f} s: {(folder / 'said').read_text()}"]


def unfinished(tool, run, folder, url, names, prefix=()):
    """What fails or is interrupted leaves nothing on the server, whose `folder` the `url` names, but for a link."""
    def slow(name):
        return ["convert", "-r", "300k", "-f", "raw", "-O", "raw", str(folder / "disk"), f"{url}/{name}"]

    (folder / "elsewhere").touch()
    (folder / "link").symlink_to("elsewhere")
    for name in names:
        got = run(tool, "convert", "-f", "raw", "-O", "qcow2", "-o", "preallocation=full", "disk", f"{url}/{name}")
        yield f"refused {name}", [] if got.status == 1 and "preallocation" in got.err else [str(got)]
        yield f"interrupted {name}", interrupted(tool, folder, slow(name), prefix=prefix)
    early = []
    for step in range(12):
        early += interrupted(tool, folder, slow("early"), seconds=step / 50, prefix=prefix)
        early += [f"left after {step / 50} s"] if (folder / "early").exists() else []
        (folder / "early").unlink(missing_ok=True)
    yield "interrupted early", early
    there = {"link": (folder / "link").is_symlink(), "new": (folder / "new").exists(), "disk": (folder / "disk").exists()}
    yield "what is left", [] if there == {"link": True, "new": False, "disk": True} else [str(there)]
