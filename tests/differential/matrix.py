# SPDX-License-Identifier: Apache-2.0
"""The generated matrix: which images are made. Every value of every axis stands alone once, then seeded mixtures."""

import random
from typing import NamedTuple

KIB, MIB = 1024, 1024 * 1024

CLUSTER_SIZES = ("512", "4k", "16k", "64k", "128k", "1M", "2M")
CREATE_AXES = {
    "compat": ("1.1", "0.10"),
    "cluster_size": CLUSTER_SIZES,
    "refcount_bits": ("16", "1", "2", "4", "8", "32", "64"),
    "extended_l2": ("off", "on"),
    "compression_type": ("zlib", "zstd"),
    "data_file": ("", "data", "data+raw"),
    "preallocation": ("off", "metadata", "falloc", "full"),
    "lazy_refcounts": ("off", "on"),
}
SIZES = (4 * MIB, 0, 512, 1000, 64 * KIB, MIB + 512, 3 * MIB + 1000, 6 * MIB - 1536, 9 * MIB)
CONTENTS = ("mix", "empty", "zeros", "random", "text", "compressed", "snapshots", "discards", "bitmaps")
CHAINS = ("none", "raw", "qcow2", "smaller", "larger", "three", "json", "v2", "compressed", "extended", "folder")
DEFAULT = {"compat": "1.1", "cluster_size": "64k", "refcount_bits": "16", "extended_l2": "off", "compression_type": "zlib",
           "data_file": "", "preallocation": "off", "lazy_refcounts": "off", "size": SIZES[0], "content": "mix", "chain": "none"}
AXES = {**CREATE_AXES, "size": SIZES, "content": CONTENTS, "chain": CHAINS}


class Spec(NamedTuple):
    """One image: format, creation options as (name, value), size in bytes, kind of content, kind of chain."""

    format: str
    options: tuple
    size: int
    content: str
    chain: str

    @property
    def name(self):
        options = ",".join(f"{key}={value}" for key, value in self.options)
        parts = (self.format, options, str(self.size), self.content, self.chain if self.chain != "none" else "")
        return " ".join(part for part in parts if part)

    def option(self, key, default=""):
        return dict(self.options).get(key, default)


def cluster_bytes(text):
    units = {"k": KIB, "M": MIB}
    return int(text[:-1]) * units[text[-1]] if text[-1] in units else int(text)


def sensible(choice):
    """Combinations that the genuine tool accepts; what it refuses is tested with the error texts."""
    cluster = cluster_bytes(choice["cluster_size"])
    modern = choice["compat"] == "1.1"
    plain = ("refcount_bits", "extended_l2", "compression_type", "data_file", "lazy_refcounts")
    if not modern and (any(choice[key] != DEFAULT[key] for key in plain) or choice["content"] == "bitmaps"):
        return False
    if choice["content"] == "compressed" and choice["preallocation"] != "off":
        return False
    if choice["extended_l2"] == "on" and cluster < 16 * KIB:
        return False
    if choice["chain"] != "none" and (choice["preallocation"] != "off" or choice["data_file"] == "data+raw"):
        return choice["preallocation"] == "metadata" and choice["extended_l2"] == "on" and choice["data_file"] == ""
    if choice["data_file"] and choice["content"] in ("compressed", "snapshots"):
        return False
    if choice["content"] == "snapshots" and choice["refcount_bits"] == "1":
        return False
    if choice["size"] == 0 and choice["content"] != "empty":
        return False
    if cluster == 512 and choice["size"] > 4 * MIB:
        return False
    return choice["content"] != "compressed" or choice["size"] % 512 == 0


def spec_of(choice):
    options = [(key, choice[key]) for key in CREATE_AXES if choice[key] != DEFAULT[key] and key != "data_file"]
    if choice["data_file"]:
        options.append(("data_file", "image.data"))
        if choice["data_file"] == "data+raw":
            options.append(("data_file_raw", "on"))
    return Spec("qcow2", tuple(options), choice["size"], choice["content"], choice["chain"])


def lonely(axis, value):
    """The value with as few others as it needs."""
    choice = {**DEFAULT, axis: value}
    if axis == "size" and value == 0:
        choice["content"] = "empty"
    return choice


def qcow2_specs(count, seed):
    choices = [lonely(axis, value) for axis, values in AXES.items() for value in values]
    choices += [{**DEFAULT, "chain": chain, "content": content} for chain in CHAINS for content in ("empty", "discards")]
    choices += [{**DEFAULT, "cluster_size": cluster, "content": content} for cluster in CLUSTER_SIZES
                for content in ("compressed", "random")]
    random_source = random.Random(seed)
    specs = dict.fromkeys(spec_of(choice) for choice in choices if sensible(choice))
    while len(specs) < count:
        choice = {axis: random_source.choice(values) for axis, values in AXES.items()}
        if sensible(choice):
            specs[spec_of(choice)] = None
    return list(specs)


def raw_specs():
    contents = ("mix", "empty", "zeros", "random", "text", "discards")
    plain = [Spec("raw", (), size, "empty" if size == 0 else content, "none") for size in SIZES for content in contents[:2]]
    more = [Spec("raw", (), SIZES[0], content, "none") for content in contents[2:]]
    options = [(("preallocation", mode),) for mode in ("off", "falloc", "full")] + [(("extent_size_hint", "1M"),), (("nocow", "on"),)]
    return list(dict.fromkeys(plain + more + [Spec("raw", option, MIB + 512, "mix", "none") for option in options]))
