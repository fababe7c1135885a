# SPDX-License-Identifier: Apache-2.0
"""What a command did to a folder, recorded by recorder.c: files that are made, renamed and removed. What a power cut leaves of it:
of what was done to names since the folder was flushed the beginning survives, as in a journal; of what was done to a file since
it was flushed, any part."""

import os
import random

from journal import RECORD, SECTOR


class File:
    """Its sectors that are not zero; files here have gigabytes of holes."""

    def __init__(self, size=0, sectors=None):
        self.size = size
        self.sectors = dict(sectors or {})

    @classmethod
    def read(cls, path):
        file = cls(path.stat().st_size)
        with open(path, "rb", buffering=0) as opened:
            at = 0
            while at < file.size:
                try:
                    at = os.lseek(opened.fileno(), at, os.SEEK_DATA)
                except OSError:
                    break
                end = os.lseek(opened.fileno(), at, os.SEEK_HOLE)
                file.put(at, os.pread(opened.fileno(), end - at, at))
                at = end
        return file

    def copy(self):
        return File(self.size, self.sectors)

    def put(self, offset, data):
        self.size = max(self.size, offset + len(data))
        for at in range(offset // SECTOR, (offset + len(data) - 1) // SECTOR + 1):
            old = bytearray(self.sectors.get(at, bytes(SECTOR)))
            begin, end = max(offset, at * SECTOR), min(offset + len(data), (at + 1) * SECTOR)
            old[begin - at * SECTOR : end - at * SECTOR] = data[begin - offset : end - offset]
            if any(old):
                self.sectors[at] = bytes(old)
            else:
                self.sectors.pop(at, None)

    def clear(self, offset, length):
        end = offset + length
        for at in [at for at in self.sectors if offset < (at + 1) * SECTOR and at * SECTOR < end]:
            begin, stop = max(offset, at * SECTOR), min(end, (at + 1) * SECTOR)
            size = self.size
            self.put(begin, bytes(stop - begin))
            self.size = size

    def resize(self, size):
        if size < self.size:
            self.clear(size, self.size - size)
        self.size = size

    def apply(self, event, torn=None):
        kind, offset, length, payload = event
        if kind == "s":
            self.resize(offset)
        elif kind == "z":
            self.clear(offset, length)
        elif torn is None:
            self.put(offset, payload)
        else:
            for begin in range(0, len(payload), SECTOR):
                if torn.random() < 0.5:
                    self.put(offset + begin, payload[begin : begin + SECTOR])

    def write(self, path):
        with open(path, "wb") as file:
            file.truncate(self.size)
            for at, data in self.sectors.items():
                os.pwrite(file.fileno(), data[: self.size - at * SECTOR], at * SECTOR)


class Folder:
    """A folder before a command, and what the command did to it."""

    def __init__(self, path):
        self.path = path
        self.names = {file.name: number for number, file in enumerate(sorted(path.iterdir()))}
        self.files = {number: File.read(path / name) for name, number in self.names.items()}
        self.events = []

    def record(self, library, tool, args, log):
        """Runs the command; the log stands elsewhere."""
        names = ":".join(str(self.path / name) for name in self.names)
        settings = (f"LD_PRELOAD={library}", f"POWER_FILES={names}", f"POWER_FOLDER={self.path}", f"POWER_LOG={log}")
        result = tool.run(*args, cwd=self.path, prefix=("env", *settings))
        data, at = log.read_bytes(), 0
        while at < len(data):
            kind, number, offset, length = RECORD.unpack_from(data, at)
            at += RECORD.size
            kind = chr(kind)
            payload = b""
            if kind in "wcru":
                payload = data[at : at + length]
                at += length
            self.events.append((kind, number, offset, length, payload))
        found = {name: file.size for name, file in self.after(len(self.events)).items()}
        there = {file.name: file.stat().st_size for file in self.path.iterdir()}
        if found != there:
            raise AssertionError(f"the record is not complete: {found} {there}")
        return result

    def after(self, count, chance=None):
        """Its files by name after a cut behind `count` events; without `chance` (a random.Random) nothing is lost."""
        names, files = dict(self.names), {number: file.copy() for number, file in self.files.items()}
        events = self.events[:count]
        flushed = {event[1]: i for i, event in enumerate(events) if event[0] == "f"}
        settled = max((i for i, event in enumerate(events) if event[0] == "d"), default=-1)
        loss = chance.choice(("all", "none", "half", "torn")) if chance else "none"
        last_name = {"all": settled, "none": count}.get(loss) if loss in ("all", "none") else chance.randint(settled, count)
        for i, (kind, number, offset, length, payload) in enumerate(events):
            if kind == "c":
                files[number] = File()
            if kind in "cru":
                if i <= last_name:
                    self.name(names, kind, number, payload.decode())
            elif kind in "wsz":
                event = (kind, offset, length, payload)
                if i < flushed.get(number, -1) or loss == "none" or (loss == "half" and chance.random() < 0.5):
                    files[number].apply(event)
                elif loss == "torn" and (kind == "w" or chance.random() < 0.5):
                    files[number].apply(event, chance)
        return {name: files[number] for name, number in names.items()}

    @staticmethod
    def name(names, kind, number, payload):
        if kind == "c":
            names[payload] = number
        elif kind == "u":
            del names[payload]
        else:
            old, new = payload.split("\0")
            names[new] = names.pop(old)

    def restore(self, count, chance):
        for file in self.path.iterdir():
            file.unlink()
        for name, file in self.after(count, chance).items():
            file.write(self.path / name)


def cuts(total, most, chance: random.Random):
    return range(total + 1) if total < most else sorted(chance.sample(range(total + 1), most))
