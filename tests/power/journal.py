# SPDX-License-Identifier: Apache-2.0
"""What a command did to files, recorded by recorder.c, and what a power cut in the middle leaves of them."""

import os
import pathlib
import struct
import subprocess

SECTOR = 512
RECORD = struct.Struct("=4Q")


def build(folder):
    """Compiles the recorder; returns the library to preload."""
    library = pathlib.Path(folder) / "recorder.so"
    source = pathlib.Path(__file__).with_name("recorder.c")
    subprocess.run(["cc", "-O2", "-Wall", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl", "-lpthread"], check=True)
    return library


def record(library, tool, folder, names, args):
    """Runs a command in `folder`; returns its result and what it did to the files `names`."""
    log = folder / "journal"
    paths = [str(folder / name) for name in names]
    start = {name: (folder / name).read_bytes() for name in names}
    settings = [f"LD_PRELOAD={library}", f"POWER_FILES={':'.join(paths)}", f"POWER_LOG={log}"]
    result = tool.run(*args, cwd=folder, prefix=("env", *settings))
    events = list(parse(log.read_bytes(), names))
    os.unlink(log)
    journal = Journal(start, events)
    for name, data in journal.after(len(events)).items():
        if data != (folder / name).read_bytes():
            raise AssertionError(f"{' '.join(args)}: the record of {name} is not complete")
    return result, journal


def parse(data, names):
    at = 0
    while at < len(data):
        kind, number, offset, length = RECORD.unpack_from(data, at)
        at += RECORD.size
        payload = b""
        if chr(kind) == "w":
            payload = data[at: at + length]
            at += length
        yield chr(kind), names[number], offset, length, payload


def put(file, offset, data):
    if len(file) < offset:
        file.extend(bytes(offset - len(file)))
    file[offset: offset + len(data)] = data


def apply(file, event):
    kind, _, offset, length, payload = event
    if kind == "s":
        del file[offset:]
        file.extend(bytes(offset - len(file)))
    elif kind == "z":
        put(file, offset, bytes(max(0, min(length, len(file) - offset))))
    elif kind == "w":
        put(file, offset, payload)


def apply_torn(file, event, random):
    """Of a write each sector survives or not."""
    kind, _, offset, _, payload = event
    if kind != "w":
        if random.random() < 0.5:
            apply(file, event)
        return
    at = offset
    while at < offset + len(payload):
        end = min((at // SECTOR + 1) * SECTOR, offset + len(payload))
        if random.random() < 0.5:
            put(file, at, payload[at - offset: end - offset])
        at = end


class Journal:
    """Events of several files, in order."""

    def __init__(self, start, events):
        self.start = start
        self.events = events

    def after(self, count, random=None):
        """The files after a cut behind `count` events. What came after a file's last flush survives in part, by `random`;
        without it all survives."""
        files = {name: bytearray(data) for name, data in self.start.items()}
        flushed = {name: -1 for name in files}
        for i, event in enumerate(self.events[:count]):
            if event[0] == "f":
                flushed[event[1]] = i
        loss = random.choice(("all", "none", "half", "torn")) if random else "none"
        for i, event in enumerate(self.events[:count]):
            file = files[event[1]]
            if i < flushed[event[1]] or loss == "none" or (loss == "half" and random.random() < 0.5):
                apply(file, event)
            elif loss == "torn":
                apply_torn(file, event, random)
        return files
