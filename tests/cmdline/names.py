# SPDX-License-Identifier: Apache-2.0
"""How images are named on a command line: plainly, with a protocol, as JSON, as dotted options, under filters."""

import json

from fixtures import IMAGES

MISSING = ("nofile", "nodir/x.qcow2", "", ".", "nosuch:x", "json:{", "json:{}", "json:[]", 'json:{"driver":"qcow2"}', "file:", "/dev/null")
FORMATS = ("raw", "qcow2", "file", "nosuch", "")
PROTOCOL = {"driver": ("file", "host_device", "nosuch"), "locking": ("on", "off", "auto", "bogus"), "aio": ("threads", "native", "bogus"), "read-only": ("on", "off"),
            "discard": ("ignore", "unmap", "on", "bogus"), "cache.direct": ("on", "off"), "cache.no-flush": ("on",), "node-name": ("n0", "n1", "0bad"),
            "drop-cache": ("on", "off"), "x-check-cache-dropped": ("off",), "auto-read-only": ("on",), "nosuch": ("1",), "detect-zeroes": ("on",)}
NODE = {"node-name": ("n0", "n1", "n 2"), "read-only": ("on", "off", "maybe"), "force-share": ("on", "off"), "discard": ("unmap", "ignore", "off", "x"),
        "detect-zeroes": ("on", "off", "unmap", "x"), "cache.direct": ("on", "off"), "cache.no-flush": ("on", "off"), "cache.writeback": ("on",),
        "nosuch": ("1",), "auto-read-only": ("on", "off")}
FORMAT = {
    "raw": {"offset": ("0", "512", "64k", "1M", "2M", "100"), "size": ("512", "64k", "1M", "2M", "0", "700", "x")},
    "qcow2": {"lazy-refcounts": ("on", "off"), "overlap-check": ("all", "none", "constant", "cached", "x"), "cache-size": ("1M", "0"), "l2-cache-size": ("64k", "1"),
              "l2-cache-entry-size": ("4096", "512", "3"), "refcount-cache-size": ("256k",), "cache-clean-interval": ("0", "60"), "pass-discard-request": ("on",),
              "discard-no-unref": ("on",), "backing": ("", "v3.qcow2", "nosuch"), "backing.driver": ("qcow2", "raw"), "overlap-check.template": ("all",),
              "encrypt.format": ("luks", "aes"), "data-file.filename": ("data.bin",)},
}
WHOLE = {"read-only", "force-share", "lazy-refcounts", "pass-discard-request", "discard-no-unref", "cache.direct", "cache.no-flush", "cache.writeback", "drop-cache",
         "x-check-cache-dropped", "auto-read-only"}


def typed(key, value):
    """A value as JSON has it, where the key's type is not text."""
    if key in WHOLE and value in ("on", "off"):
        return value == "on"
    if key in ("offset", "size", "cache-size", "l2-cache-size") and value.isdigit():
        return int(value)
    return value


def dotted(options):
    """Options for --image-opts."""
    flat = []
    for key, value in options.items():
        if isinstance(value, dict):
            flat += [f"{key}.{inner}" for inner in dotted(value).split(",")]
        else:
            flat.append(f"{key}={value.replace(',', ',,')}")
    return ",".join(flat)


def as_json(options, draw):
    """The same as a json: name; some write dotted keys as objects within objects."""
    def convert(node):
        out = {}
        for key, value in node.items():
            value = convert(value) if isinstance(value, dict) else typed(key, value)
            place = out
            while "." in key and nested:
                first, key = key.split(".", 1)
                if not isinstance(place.setdefault(first, {}), dict):
                    break
                place = place[first]
            place[key] = value
        return out
    nested = draw.chance(0.5)
    return "json:" + json.dumps(convert(options), separators=(",", ":") if draw.chance(0.8) else None)


class Names:
    """Draws names. `used` collects which images a case needs."""

    def __init__(self, draw):
        self.draw = draw
        self.used = set()
        self.secret = False  # an image that was named needs the key

    def image(self, image_opts=False, formats=None):
        """The name of an existing image, mostly; as options if image_opts says so."""
        draw = self.draw
        if draw.chance(0.03):
            return draw.one(MISSING)
        name = draw.one([name for name, image in IMAGES.items() if not formats or image.format in formats])
        self.used.add(name)
        image = IMAGES[name]
        if image_opts and not draw.chance(0.04):
            return dotted(self.tree(name, image))
        if image.encrypted and not draw.chance(0.1):
            return as_json(self.tree(name, image), draw)
        return draw.weighted((70, lambda: name), (4, lambda: f"./{name}"), (4, lambda: f"file:{name}"), (14, lambda: as_json(self.tree(name, image), draw)),
                             (2, lambda: f"blkdebug::{name}"), (1, lambda: f"{name}/"), (1, lambda: "blkverify:a.raw:v3.qcow2"))()

    def tree(self, name, image):
        """The nodes of an image as nested options."""
        draw = self.draw
        protocol = {"filename": name, **self.some(PROTOCOL)}
        if image.encrypted:
            self.secret = True
        node = {"driver": image.format, **({"encrypt.key-secret": "s"} if image.encrypted else {}), **self.some(NODE), **self.some(FORMAT[image.format])}
        if draw.chance(0.1):
            del node["driver"]
        if draw.chance(0.12):
            protocol = self.filter(protocol, below=True)
        node["file"] = protocol
        if draw.chance(0.12):
            node = self.filter(node, below=False)
        return dict(draw.shuffled(list(node.items()))) if draw.chance(0.3) else node

    def some(self, table):
        draw = self.draw
        return {key: draw.one(table[key]) for key in draw.few(list(table), 0.12)}

    def filter(self, node, below):
        """A node that stands above another one."""
        draw = self.draw
        if not below:
            node.setdefault("driver", "raw")
        kinds = [lambda: {"driver": "copy-on-read", "file": node, **draw.maybe(0.2, {"bottom": "n0"})}, lambda: {"driver": "preallocate", "file": node},
                 lambda: {"driver": "compress", "file": node}, lambda: self.blkdebug(node), lambda: {"driver": "throttle", "throttle-group": "tg", "file": node},
                 lambda: {"driver": "quorum", "vote-threshold": "1", "children": {"0": node}}]
        return draw.one(kinds)()

    def blkdebug(self, node):
        draw = self.draw
        limits = {"align": ("512", "4096", "1000", "65536"), "max-transfer": ("4096", "65536", "700"), "opt-write-zero": ("65536", "1"), "max-write-zero": ("131072",),
                  "opt-discard": ("65536",), "max-discard": ("65536", "3"), "inject-error.0.event": ("read_aio", "l2_load", "none", "pwritev", "bogus"),
                  "inject-error.0.once": ("on", "off"), "inject-error.0.errno": ("5", "28", "x"), "inject-error.0.sector": ("0", "1", "-1"),
                  "inject-error.0.immediately": ("on",), "inject-error.0.iotype": ("read", "write", "flush", "discard", "bogus"),
                  "take-child-perms.0": ("write", "resize", "bogus"), "unshare-child-perms.0": ("write", "consistent-read", "resize", "bogus")}
        return {"driver": "blkdebug", **{key: draw.one(limits[key]) for key in draw.few(list(limits), 0.3)}, "image": node}
