# SPDX-License-Identifier: Apache-2.0
"""Random command lines of all commands: mostly right ones, and each kind of wrong one."""

import re
from typing import Callable, NamedTuple, Optional

from fixtures import IMAGES, SECRET
from names import FORMATS, Names

JUNK = ("", "bogus", "-1", "0", "1", "99999999999999999999", "1k", "on", "a,b", "help", "x=y", " 1")
SIZES = ("1M", "512k", "1048577", "3M", "0", "1000", "2M", "64k", "1.5M", "0x20000", "1b")
WRONG_SIZES = ("-1", "foo", "", "8E", "1e3", "1KiB", "+1M", "1 M", "7E", "1.", "99999999999999999999")
CACHES = ("none", "writeback", "unsafe", "directsync", "writethrough", "bogus")
OBJECTS = (SECRET, "throttle-group,id=tg", "throttle-group,id=tg,limits.iops-total=1000000", "throttle-group,id=tg,x-bps-total=1G", "secret,id=t,data=cHc=,format=base64",
           "secret,id=u", "secret,data=x", "nosuch,id=x", "secret,id=s,data=wrong", "throttle-group,id=tg,x-bps-total=-1", "throttle-group,id=tg,x-iops-total-max=5",
           'json:{"qom-type":"secret","id":"s","data":"pw"}', "qom-type=secret,id=s,data=pw", "authz-list,id=z", "tls-creds-anon,id=tls,endpoint=client")
CREATE_OPTIONS = {
    "raw": {"preallocation": ("off", "falloc", "full", "metadata", "x"), "size": SIZES, "nocow": ("on", "off"), "extent_size_hint": ("0", "64k", "1"), "nosuch": ("1",)},
    "qcow2": {"cluster_size": ("512", "4k", "64k", "128k", "2M", "16k", "1000", "4M"), "compat": ("0.10", "1.1", "v2", "v3", "0.9"),
              "lazy_refcounts": ("on", "off", "x"), "refcount_bits": ("1", "2", "16", "64", "3", "128"), "extended_l2": ("on", "off"),
              "compression_type": ("zlib", "zstd", "lz4"), "backing_file": ("v3.qcow2", "a.raw", "nofile", ""),
              "backing_fmt": ("qcow2", "raw", "nosuch"), "data_file": ("new.bin",), "data_file_raw": ("on", "off"), "size": SIZES, "nocow": ("on", "off"),
              "encryption": ("on", "off"), "encrypt.format": ("luks", "aes", "x"), "encrypt.key-secret": ("s", "t", "nokey"), "encrypt.iter-time": ("10",),
              "encrypt.cipher-alg": ("aes-128", "x"), "encrypt.hash-alg": ("sha1", "md5"), "nosuch": ("1",), "extent_size_hint": ("0", "1M"), "preallocation": ("off", "x")},
    "nosuch": {"size": SIZES},
}
AMEND_OPTIONS = {"compat": ("0.10", "1.1", "v3", "x"), "lazy_refcounts": ("on", "off"), "refcount_bits": ("16", "32", "1", "64", "5"), "size": SIZES, "backing_file": ("v3.qcow2", ""),
                 "backing_fmt": ("qcow2", "raw"), "data_file": ("new.bin",), "data_file_raw": ("on", "off"), "cluster_size": ("4k",), "preallocation": ("off", "full"), "nosuch": ("1",),
                 "encrypt.new-secret": ("s",), "encrypt.state": ("active", "inactive"), "encrypt.keyslot": ("1", "9"), "encrypt.iter-time": ("10",), "encryption": ("on",)}


class Option(NamedTuple):
    """All spellings of an option, how its value is drawn (none: it has no value), how often it is used."""

    spellings: str
    value: Optional[Callable]
    often: float = 0.12

    @property
    def letters(self):
        return [name for name in self.spellings.split() if len(name) == 1]

    @property
    def words(self):
        return [name for name in self.spellings.split() if len(name) > 1]


class Context:
    """What the parts of one command line know of each other."""

    def __init__(self, draw, names):
        self.draw = draw
        self.names = names
        self.image_opts = draw.chance(0.12)
        self.target_opts = draw.chance(0.08)
        self.format = draw.weighted((5, "raw"), (9, "qcow2"), (1, "nosuch"))  # of what is made

    def image(self):
        return self.names.image(self.image_opts)

    def plain_image(self):
        return self.names.image()

    def images(self, *formats):
        return lambda context: context.names.image(context.image_opts, formats)


def one(*values):
    return lambda context: context.draw.one(values)


def size(context):
    return context.draw.one(WRONG_SIZES if context.draw.chance(0.12) else SIZES)


def number(*values):
    return one(*values, "0", "-1", "x")


def created_format(context):
    return context.format


def key_values(table, context, more=0.5):
    chosen = context.draw.few(list(table), more)
    text = ",".join(f"{key}={context.draw.one(table[key])}" for key in chosen)
    return context.draw.weighted((20, text), (1, text + ","), (1, "nosuch"), (1, text.replace("=on", "")), (1, text.replace("=", "==", 1)))


def create_options(context):
    return key_values(CREATE_OPTIONS[context.format], context)


def amend_options(context):
    return key_values(AMEND_OPTIONS, context, 0.4)


def snapshot_name(context):
    return context.draw.one(("one", "two words", "2", "1", "new", "", "snapshot.name=one", "snapshot.id=2", "snapshot.id=1,snapshot.name=one", "snapshot.nosuch=1", "x" * 300))


def bitmap_name(context):
    return context.draw.one(("one", "two", "off", "new", "", "y" * 1100))


def flag(spellings, often=0.12):
    return Option(spellings, None, often)


OBJECT = Option("object", one(*OBJECTS), 0.04)
IMAGE_OPTS = flag("image-opts", 0.0)  # added by the context
FORMAT = Option("f format", one("raw", "qcow2", "qcow2", *FORMATS), 0.15)
OUTPUT = Option("output", one("human", "json", "json", "xml"), 0.25)
SHARE = flag("U force-share", 0.06)
QUIET = flag("q quiet", 0.06)
CACHE = Option("t cache", one(*CACHES), 0.1)
RATE = Option("r rate", one("1G", "100M", "x", "-1", "0"), 0.05)
COMMON = (OBJECT, IMAGE_OPTS)


class Command(NamedTuple):
    """Its options and how its operands are drawn. together: no option stands between them."""

    options: tuple
    operands: Callable
    together: bool = False


def file(context):
    return [context.image()]


def target(context):
    """Where a command writes: a new file mostly, or an image that is there."""
    return context.draw.weighted((12, "new"), (1, "nodir/new"), (1, "file:new"), (1, "./new"), (1, "-new"), (3, None)) or context.names.image()


def create_operands(context):
    return [target(context), *([size(context)] if context.draw.chance(0.8) else []), *context.draw.maybe(0.02, ["extra"])]


def convert_operands(context):
    sources = [context.image() for _ in range(context.draw.weighted((12, 1), (2, 2), (1, 3)))]
    last = context.names.image(context.target_opts) if context.target_opts else target(context)
    return [*sources, last]


def dd_operands(context):
    draw = context.draw
    parts = [f"if={context.image()}", f"of={target(context)}"]
    tables = {"bs": ("512", "4k", "64k", "1M", "1000", "0", "x"), "count": ("0", "1", "3", "100", "-1"), "skip": ("0", "1", "5", "10000", "x"), "seek": ("1",), "nosuch": ("1",)}
    parts += [f"{key}={draw.one(tables[key])}" for key in draw.few(("bs", "count", "skip", "bs", "count", "skip", "seek", "nosuch"), 0.45)]
    return draw.shuffled(parts)


def measure_operands(context):
    return [] if context.draw.chance(0.3) else [context.image()]


def resize_operands(context):
    return [context.image(), context.draw.one(("", "", "+", "-")) + size(context)]


COMMANDS = {
    "amend": Command((*COMMON, FORMAT, Option("o options", amend_options, 0.9), CACHE, QUIET, flag("p progress"), flag("force")), file),
    "bench": Command((IMAGE_OPTS, FORMAT, Option("c count", number("1", "10", "50"), 1.0), Option("d depth", number("1", "4", "64"), 0.2), Option("i aio", one("threads", "native", "io_uring", "x"), 0.05),
                      flag("n native", 0.05), Option("o offset", number("512", "64k", "1", "1M"), 0.2), Option("s buffer-size", number("512", "4k", "64k", "1"), 0.4),
                      Option("S step-size", number("512", "64k", "4k"), 0.2), CACHE, flag("w write", 0.4), Option("pattern", number("5", "255", "256"), 0.15),
                      Option("flush-interval", number("1", "5", "7"), 0.15), flag("no-drain", 0.08), flag("q"), SHARE), file),
    "bitmap": Command((*COMMON, Option("f", one("raw", "qcow2", "qcow2", ""), 0.1), flag("add", 0.3), flag("remove", 0.2), flag("clear", 0.2), flag("enable", 0.15), flag("disable", 0.2), Option("merge", bitmap_name, 0.25),
                       Option("b source-file", Context.plain_image, 0.1), Option("F source-format", one("raw", "qcow2", "x"), 0.08), Option("g granularity", one("64k", "32k", "512", "1", "4G", "x"), 0.15)),
                      lambda context: [context.names.image(context.image_opts, ("qcow2",)), bitmap_name(context)]),
    "check": Command((*COMMON, FORMAT, Option("r repair", one("all", "leaks", "all", "x"), 0.3), OUTPUT, Option("T cache", one(*CACHES), 0.1), QUIET, SHARE), file),
    "commit": Command((*COMMON, FORMAT, CACHE, Option("b base", Context.plain_image, 0.2), flag("d drop", 0.2), RATE, flag("p progress", 0.08), QUIET),
                      lambda context: [context.names.image(context.image_opts, ("qcow2",))]),
    "compare": Command((*COMMON, Option("f a-format left-format", one("raw", "qcow2", "x"), 0.1), Option("F b-format right-format", one("raw", "qcow2", "x"), 0.1), Option("T cache", one(*CACHES), 0.1),
                        flag("p progress", 0.06), QUIET, flag("s strict", 0.25), SHARE), lambda context: [context.image(), context.image()]),
    "convert": Command((*COMMON, Option("f source-format", one("raw", "qcow2", *FORMATS), 0.12), Option("O output-format", created_format, 0.8), Option("o options", create_options, 0.3),
                        Option("B backing", Context.plain_image, 0.12), Option("F backing-format", one("raw", "qcow2", "x"), 0.12), Option("l snapshot", snapshot_name, 0.08),
                        Option("S sparse-size", one("0", "4k", "64k", "1M", "x", "512", "1000"), 0.12), flag("c", 0.15), flag("p", 0.05), QUIET, flag("n", 0.12), Option("t", one(*CACHES), 0.08),
                        Option("T source-cache", one(*CACHES), 0.08), Option("m parallel", number("1", "8", "16", "17"), 0.08), flag("W oob-writes", 0.08), flag("C copy-range-offloading", 0.08), RATE,
                        SHARE, flag("target-is-zero", 0.05), flag("bitmaps", 0.08), flag("skip-broken-bitmaps", 0.05), flag("salvage", 0.06)), convert_operands),
    "create": Command((OBJECT, Option("f format", created_format, 0.9), Option("o options", create_options, 0.5), Option("b backing", Context.plain_image, 0.2),
                       Option("F backing-format", one("raw", "qcow2", "qcow2", "x"), 0.25), flag("u backing-unsafe", 0.1), QUIET), create_operands),
    "dd": Command((*COMMON, FORMAT, Option("O output-format", created_format, 0.5), SHARE), dd_operands),
    "info": Command((*COMMON, FORMAT, flag("b backing-chain", 0.25), OUTPUT, SHARE), file),
    "map": Command((*COMMON, FORMAT, OUTPUT, Option("s start-offset", number("64k", "1", "1M", "5M"), 0.15), Option("l max-length", number("64k", "1", "1M", "100"), 0.15), SHARE), file),
    "measure": Command((*COMMON, FORMAT, Option("O target-format", created_format, 0.8), Option("o options", create_options, 0.3), Option("l snapshot", snapshot_name, 0.1), OUTPUT,
                        Option("size", size, 0.3), SHARE), measure_operands),
    "rebase": Command((*COMMON, FORMAT, CACHE, Option("b backing", Context.plain_image, 0.8), Option("F backing-format", one("raw", "qcow2", "qcow2", "x"), 0.8), Option("T backing-cache", one(*CACHES), 0.08),
                       flag("u backing-unsafe", 0.3), flag("c compress", 0.08), flag("p progress", 0.06), QUIET, SHARE), lambda context: [context.names.image(context.image_opts, ("qcow2",))]),
    "resize": Command((*COMMON, FORMAT, Option("preallocation", one("off", "metadata", "falloc", "full", "x"), 0.15), flag("shrink", 0.4), QUIET), resize_operands, True),
    "snapshot": Command((*COMMON, FORMAT, flag("l list", 0.2), Option("c", snapshot_name, 0.25), Option("a", snapshot_name, 0.25), Option("d", snapshot_name, 0.25), QUIET, SHARE),
                        lambda context: [context.names.image(context.image_opts, ("qcow2",))]),
}
WEIGHTS = {"convert": 4, "create": 2, "info": 2, "rebase": 2, "map": 2, "compare": 2}


def abbreviated(draw, word):
    """A prefix; it may be ambiguous."""
    return word[:2 + draw.below(len(word) - 1)] if len(word) > 2 else word


def spelled(draw, option, context):
    """An option with its value as arguments."""
    value = None if option.value is None else draw.one(JUNK) if draw.chance(0.03) else option.value(context)
    letters, words = option.letters, option.words
    if letters and (not words or draw.chance(0.6)):
        letter = draw.one(letters)
        if value is None:
            return [f"-{letter}"]
        return [f"-{letter}{value}"] if draw.chance(0.15) and value else [f"-{letter}", value]
    word = draw.one(words)
    if draw.chance(0.12):
        word = abbreviated(draw, word)
    if value is None:
        return [f"--{word}=x"] if draw.chance(0.02) else [f"--{word}"]
    return [f"--{word}={value}"] if draw.chance(0.5) else [f"--{word}", value]


def joined(draw, parts):
    """Sometimes two short options without values become one argument."""
    singles = [part for part in parts if len(part) == 1 and len(part[0]) == 2 and part[0][0] == "-" and part[0] != "--"]
    if len(singles) > 1 and draw.chance(0.3):
        rest = [part for part in parts if part not in singles]
        return [["-" + "".join(part[0][1] for part in singles)], *rest]
    return parts


def arranged(draw, parts, operands, together):
    """Options and operands in some order."""
    if together:
        return [argument for piece in draw.shuffled([*parts, operands]) for argument in piece]
    style = draw.weighted((10, "after"), (4, "before"), (5, "among"), (2, "dashes"))
    if style == "after":
        pieces = [*parts, *([operand] for operand in operands)]
    elif style == "before":
        pieces = [*([operand] for operand in operands), *parts]
    elif style == "dashes":
        pieces = [*parts, ["--"], *([operand] for operand in operands)]
    else:
        pieces = list(parts)
        places = sorted(draw.below(len(parts) + 1) for _ in operands)
        for number_before, (place, operand) in enumerate(zip(places, operands)):
            pieces.insert(place + number_before, [operand])
    return [argument for piece in pieces for argument in piece]


def command_line(draw, names):
    """The arguments of one run."""
    name = draw.weighted(*((WEIGHTS.get(name, 1), name) for name in COMMANDS))
    command = COMMANDS[name]
    context = Context(draw, names)
    operands = command.operands(context)
    parts = []
    for option in command.options:
        while draw.chance(option.often):
            parts.append(spelled(draw, option, context))
            if draw.chance(0.9):
                break
    if context.image_opts and (name != "create") and draw.chance(0.95):
        parts.append([abbreviated(draw, "--image-opts") if draw.chance(0.05) else "--source-image-opts" if name == "convert" and draw.chance(0.2) else "--image-opts"])
    if name == "convert" and context.target_opts and draw.chance(0.9):
        parts += [["--target-image-opts"], ["-n"]]
    if names.secret and name != "bench" and draw.chance(0.93):
        parts.append(["--object", SECRET])
    if name != "bench" and any("throttle-group" in argument for argument in [*operands, *(piece for part in parts for piece in part)]) and draw.chance(0.9):
        parts.append(["--object", "throttle-group,id=tg"])
    if draw.chance(0.03):
        parts.append([draw.one(("-x", "--nosuch", "-9", "--", "-", "--he"))])
    if draw.chance(0.04):
        operands = draw.one((operands[:-1], [*operands, "extra"], [*operands, draw.one(list(IMAGES))]))
    return [name, *arranged(draw, joined(draw, draw.shuffled(parts)), operands, command.together)]


def hangs(line):
    """What the genuine tool never ends: a commit through the filter compress; or not in time: refcount blocks of so many counts."""
    text = " ".join(line)
    return line[0] == "commit" and "compress" in text or \
        line[0] == "amend" and re.search(r"refcount_bits=1\b", text) and "big.qcow2" in text


def case(draw):
    """Some command lines for one folder, and the images that they need."""
    names = Names(draw)
    lines = [command_line(draw, names) for _ in range(draw.weighted((8, 1), (2, 2), (1, 3)))]
    lines = [line for line in lines if not hangs(line)] or [["info"]]
    text = " ".join(argument for line in lines for argument in line)
    return lines, names.used | {name for name in IMAGES if name in text}
