# SPDX-License-Identifier: Apache-2.0
"""Runs cases in parallel, each in a folder of its own, and prints one line per check and a last line with the sums."""

import argparse
import concurrent.futures
import os
import pathlib
import re
import shutil
import signal
import tempfile
import time
import traceback


def shortened(text, limit=1500):
    return text if len(text) <= limit else f"{text[:limit]}... ({len(text)} characters)"


class Suite:
    """A case is a name and a function that takes a folder and yields (check, problems); no problem is a pass."""

    def __init__(self, description):
        parser = argparse.ArgumentParser(description=description)
        parser.add_argument("-k", metavar="REGEX", default="", help="only cases whose name matches")
        parser.add_argument("-q", action="store_true", help="print failures only")
        parser.add_argument("--keep", metavar="DIR", help="leave the folders of the cases here")
        parser.add_argument("--slow", type=int, default=0, metavar="N", help="name the N slowest cases")
        parser.add_argument("-j", type=int, default=max(2, os.cpu_count() or 1), help="cases at a time")
        self.parser = parser
        self.options = None
        self.seconds = []
        self.passed = 0
        self.failed = 0
        self.open = []

    def parse(self):
        # A shell starts what runs in the background so that SIGINT is ignored, and so would our programs.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.options = self.parser.parse_args()
        return self.options

    def allow(self, path):
        """Reads the list of differences that are known and open: lines REGEX of a check's name, a tab, what differs.
        They are printed and not counted as failures; a line that nothing differs for any more is a failure."""
        for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
            if line and not line.startswith("#"):
                pattern, why = line.split("\t")
                self.open.append([re.compile(pattern), why, 0])

    def run(self, cases):
        cases = [(name, case) for name, case in cases if re.search(self.options.k, name)]
        top = pathlib.Path(self.options.keep or tempfile.mkdtemp(prefix="instar-test-"))
        top.mkdir(parents=True, exist_ok=True)
        try:
            with concurrent.futures.ThreadPoolExecutor(self.options.j) as pool:
                folders = (top / f"{number:05}" for number in range(len(cases)))
                for checks in pool.map(self.one, cases, folders):
                    for check in checks:
                        self.report(*check)
        finally:
            if not self.options.keep:
                shutil.rmtree(top, ignore_errors=True)

    def one(self, named, folder):
        name, case = named
        folder.mkdir()
        checks = []
        start = time.monotonic()
        try:
            for check, problems in case(folder):
                checks.append((f"{name}: {check}" if check else name, problems))
        except Exception as error:  # pylint: disable=broad-except  # whatever goes wrong is a failure of this case
            checks.append((name, [f"{type(error).__name__}: {error}", *traceback.format_exc().splitlines()[-3:-1]]))
        if not checks:
            checks.append((name, ["the case checked nothing"]))
        self.seconds.append((time.monotonic() - start, name))
        if not self.options.keep:
            shutil.rmtree(folder, ignore_errors=True)
        return checks

    def report(self, name, problems):
        known = next((entry for entry in self.open if problems and entry[0].fullmatch(name)), None)
        if known:
            known[2] += 1
            print(f"open   {name}: {known[1]}", flush=True)
        elif problems:
            self.failed += 1
            print(f"FAILED {name}", flush=True)
            for problem in problems:
                print(f"    {shortened(problem)}", flush=True)
        else:
            self.passed += 1
            if not self.options.q:
                print(f"ok     {name}", flush=True)

    def end(self):
        for seconds, name in sorted(self.seconds, reverse=True)[: self.options.slow]:
            print(f"{seconds:6.1f} s  {name}")
        if self.open and not self.options.k:
            for pattern, why, count in self.open:
                if count == 0:
                    self.failed += 1
                    print(f"FAILED nothing differs any more for {pattern.pattern} ({why}): take the line out")
        if self.open:
            print(f"{sum(count for _, _, count in self.open)} known differences are open")
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        return 1 if self.failed or not self.passed else 0
