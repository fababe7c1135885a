# SPDX-License-Identifier: Apache-2.0
"""Cases on a full disk, a small tmpfs that ends with the run: what is said, what is left, and that no clusters leak."""

import os
import re
import subprocess

from harness.tool import differences

MOUNT = ("unshare", "-m") if os.geteuid() == 0 else ("unshare", "-rm")
ON_SMALL_DISK = 'mkdir -p small; mount -t tmpfs -o size=8m none small; trap "umount small" EXIT; '
FULL = "head -c 9M /dev/zero >small/full 2>/dev/null; "
# With the words of the genuine tool, where it has any that say more.
CREATE = (
    "-f raw -o preallocation=full", "-f raw -o preallocation=falloc", "-f qcow2", "-f qcow2 -o preallocation=metadata",
    "-f qcow2 -o data_file=small/data", "-f vmdk -o subformat=monolithicFlat", "-f vhdx", "-f vpc -o subformat=fixed", "-f qcow", "-f qed",
    "-f parallels",
)
# What prepares small/image and others, and the command that fails.
FILLING = {
    "commit": ('"$G" create -q -f qcow2 small/image 20M; "$G" create -q -f qcow2 -b small/image -F qcow2 top; '
               '"$G-io" -c "write 0 15M" top >/dev/null', "commit top"),
    "rebase": ('"$G" create -q -f qcow2 -b "$PWD/noise" -F raw small/image', "rebase -b '' small/image"),
    "convert -n": ('"$G" create -q -f qcow2 small/image 20M', "convert -n -f raw -O qcow2 noise small/image"),
    "resize": ('"$G" create -q -f qcow2 small/image 1M', "resize --preallocation=falloc small/image 40M"),
    "convert -n -c": ('"$G" create -q -f qcow2 small/image 20M', "convert -n -c -f raw -O qcow2 noise small/image"),
}
# In less and less room. What makes kept, the image that the command changes a copy of; whether each failure leaves its length.
LEFT = (0, 4 << 10, 8 << 10, 16 << 10, 32 << 10, 64 << 10, 256 << 10)
FAILING = {
    **{f"{command} {options}": (f'"$G" create -q -f qcow2 -o {options} kept 1M; "$G-io" -c "write -P 7 0 300k" kept >/dev/null', f"{command} small/image{rest}", False)
       for options in ("compat=0.10", "cluster_size=4k", "cluster_size=64k", "refcount_bits=64,cluster_size=512", "compat=0.10,cluster_size=2M", "cluster_size=2M")
       for command, rest in (("snapshot -c one", ""), ("bitmap --add", " one")) if rest == "" or "compat" not in options},
    **{f"snapshot {flag} two {options}": (
        f'"$G" create -q -f qcow2 -o {options} kept 1M; "$G-io" -c "write -P 7 0 300k" kept >/dev/null; "$G" snapshot -c one kept; '
        '"$G-io" -c "write -P 8 0 100k" kept >/dev/null; "$G" snapshot -c two kept; "$G-io" -c "write -P 9 50k 300k" kept >/dev/null', f"snapshot {flag} two small/image", False)
       for options in ("compat=0.10", "cluster_size=4k", "cluster_size=2M") for flag in ("-a", "-d")},
    **{f"{command} to {options or image_format}": (
        f'"$G" create -q -f {image_format} {options and "-o"} {options} kept 6M; "$G-io" -f {image_format} -c "write -P 7 100k 200k" kept >/dev/null', command, True)
       for image_format, options in (("qed", ""), ("qed", "cluster_size=4k"), ("vmdk", ""), ("qcow", ""), ("vhdx", "block_size=1M"), ("parallels", ""), ("vdi", ""))
       for command in ("convert -n -f raw -O $F noise small/image", "convert -n -m 8 -W -f raw -O $F noise small/image", "bench -w -q -c 1 -s 1M -o 1M -f $F small/image")},
}
LAYOUTS = ("cluster_size=64k", "cluster_size=512", "cluster_size=4k,refcount_bits=64", "cluster_size=2M", "extended_l2=on")


def on_small_disk(oracle, tool, script, folder):
    """A run of sh; the tool is $T, the genuine one $G, its qemu-io $G-io."""
    names = f"T={tool.program}; G={folder}/genuine; "
    for name, program in (("genuine", oracle.program), ("genuine-io", oracle.qemu_io)):
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(program)
    script = names + ON_SMALL_DISK + script
    return tool.run(*MOUNT[1:], "sh", "-c", script, cwd=folder, program=MOUNT[0], timeout=120)


def creating(oracle, tool, options):
    def case(folder):
        script = FULL + f'"$T" create -q {options} small/image 30M; echo $?; '
        got = on_small_disk(oracle, tool, script + "ls small", folder)
        wanted = on_small_disk(oracle, oracle, script + "echo full", folder)
        yield "", differences(options, wanted, got)

    return case


def filling(oracle, tool, layout, name):
    prepare, command = FILLING[name]

    def case(folder):
        (folder / "noise").write_bytes(os.urandom(1 << 20).hex().encode() * 10)
        prepared = prepare.replace("create -q -f qcow2", f"create -q -f qcow2 -o {layout}", 1)
        script = f'{prepared}; "$T" {command}; echo $?; "$G" check -q small/image'
        got = on_small_disk(oracle, tool, script, folder)
        yield "", [] if got.out == "1\n" and got.err.endswith("No space left on device\n") and got.err.count("\n") == 1 else [str(got)]

    return case


def failing(oracle, tool, name):
    """The command ends well, or there is nothing in the image that belongs to nobody, and what was there is whole."""
    prepare, command, cut = FAILING[name]
    image_format = re.search("-f ([a-z0-9]+)", prepare)[1]
    sparse = "always" if "2M" in prepare or image_format == "vhdx" else "never"  # whose tables have holes

    def case(folder):
        (folder / "noise").write_bytes(os.urandom(1 << 20).hex().encode() * 2)
        script = prepare + f'; F={image_format}; '
        for left in LEFT:
            script += f'cp --sparse={sparse} kept small/image; {FULL} truncate -s -{left} small/full; "$T" {command} >/dev/null 2>&1; done=$?; rm small/full; '
            script += '"$G" check -f $F small/image >/dev/null 2>&1; checked=$?; [ $checked = 63 ] && checked=0; '
            script += f'echo {left} $done $checked $(($(stat -c %s small/image) - $(stat -c %s kept))); '
        got = on_small_disk(oracle, tool, script, folder)
        lines = [tuple(map(int, line.split())) for line in got.out.splitlines()]
        wrong = [f"left {left}: status {status}, check {checked}, longer {longer}" for left, status, checked, longer in lines
                 if checked or (cut and status and longer > left)]
        yield "", wrong or ([] if len(lines) == len(LEFT) and lines[0][1] == 1 else [str(got)])

    return case


def preallocating_metadata(oracle, tool):
    """Clusters of 2 MiB, so that the tables of a larger image do not fit."""

    def case(folder):
        script = '"$G" create -q -f qcow2 -o cluster_size=2M small/image 1M; "$T" resize --preallocation=metadata small/image 40M; echo $?; '
        wanted = on_small_disk(oracle, oracle, script, folder)
        yield "", differences("resize", wanted, on_small_disk(oracle, tool, script + '"$G" check -q small/image', folder))

    return case


def cases(oracle, tool):
    if subprocess.run([*MOUNT, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False).returncode:
        print("skipped full disk: file systems can't be mounted here", flush=True)
        return []
    return [(f"full disk: create {options}", creating(oracle, tool, options)) for options in CREATE] + \
        [("full disk: resize --preallocation=metadata", preallocating_metadata(oracle, tool))] + \
        [(f"full disk: {name} {layout}", filling(oracle, tool, layout, name)) for layout in LAYOUTS for name in FILLING] + \
        [(f"full disk: {name}", failing(oracle, tool, name)) for name in FAILING]
