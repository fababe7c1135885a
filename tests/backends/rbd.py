# SPDX-License-Identifier: Apache-2.0
"""Protocol rbd, against a Ceph cluster."""

import json
import os
import shutil
import signal

from harness.tool import differences
from ceph import NEEDS, cluster
from content import make_content
from kit import LOUD, conformance, interrupted, shown
from servers import missing

SECRET = ("--object", "secret,id=r,data=pa55word")
INFO_NAMES = ["rbd:rbd/a", "rbd:rbd/a@s1", "rbd:rbd/a@", "rbd:rbd/a@nope", "rbd:rbd/nope", "rbd:nope/a", "rbd:rbd/ns/a", "rbd:rbd/ns1/x",
              "rbd:", "rbd:rbd", "rbd:rbd/", "rbd:/a", "rbd:rbd/a:conf", "rbd:rbd/a:", "rbd:rbd/a:conf=/nonexistent", "rbd:rbd/a:foo=bar",
              "rbd:rbd/a:id=nobody", "rbd:rbd/a:key=AQ==", "rbd:rbd/a/b/c", r"rbd:rbd/c\:d", r"rbd:r\bd/a:id=ad\min", "rbd:rbd/e",
              'json:{"driver":"rbd","pool":"rbd","image":"a"}', 'json:{"driver":"rbd","image":"a"}', 'json:{"driver":"rbd","pool":"rbd"}',
              'json:{"driver":"rbd","pool":"rbd","namespace":"ns1","image":"x","user":"admin"}',
              'json:{"driver":"raw","offset":512,"file":{"driver":"rbd","pool":"rbd","image":"a"}}']
INFO_OPTIONS = ["user=admin,server.0.host=127.0.0.1,server.0.port={port}", "user=admin,server.0.host=127.0.0.1,server.0.port={port},key-secret=k,conf=/dev/null",
                "key-secret=r", "key-secret=nope", "password-secret=k", "server.0.host=127.0.0.1", "server.host=127.0.0.1",
                "auth-client-required.0=cephx", "auth-client-required.0=foo", "encrypt.format=luks", "encrypt.format=foo,encrypt.key-secret=r",
                "encrypt.format=luks,encrypt.key-secret=r", "encrypt.format=luks-any,encrypt.key-secret=r"]
CREATE_OPTIONS = ["cluster_size=1000", "cluster_size=2048", "cluster_size=64M", "preallocation=full", "help", "password-secret=zz",
                  "encrypt.format=luks2", "encrypt.format=foo", "encrypt.key-secret=r",
                  "encrypt.format=luks,encrypt.key-secret=r,encrypt.cipher-alg=foo"]


class Rbd:
    """The cases of one run, on one cluster."""

    def __init__(self, oracle, tool):
        self.oracle = oracle
        self.tool = tool
        self.cluster = None
        self.folder = None
        self.environment = ()

    def run(self, tool, *arguments, **more):
        return tool.run(*arguments, cwd=self.folder, prefix=self.environment, **more)

    def genuine(self, *arguments):
        return self.run(self.oracle, *arguments)

    def ours(self, *arguments, **more):
        return self.run(self.tool, *arguments, **more)

    def everything(self, folder):
        self.folder = folder
        make_content(folder / "disk")
        with cluster(folder / "ceph") as self.cluster:
            self.environment = ("env", f"CEPH_CONF={self.cluster.conf}")
            self.prepare()
            for method in (self.same_as_genuine, self.changes, self.encrypted, self.read_only_user, self.clones, self.other_formats,
                           self.secrets, self.conformance, self.dead):
                for name, problems in method():
                    yield f"{method.__name__.replace('_', ' ')}: {name}".replace(str(self.cluster.v1), "PORT"), problems

    def prepare(self):
        self.cluster.run("rbd", "namespace", "create", "rbd/ns1")
        for command in (["create", "-f", "raw", "-o", "cluster_size=1M", "rbd:rbd/a", "4M"], ["create", "-f", "raw", r"rbd:rbd/c\:d", "1M"],
                        ["create", "-f", "raw", "rbd:rbd/ns1/x", "1M"],
                        ["create", *SECRET, "-f", "raw", "-o", "encrypt.format=luks2,encrypt.key-secret=r", "rbd:rbd/e", "20M"],
                        ["convert", "-n", "-f", "raw", "-O", "raw", "disk", "rbd:rbd/a"], ["snapshot", "-c", "s1", "rbd:rbd/a"]):
            done = self.ours(*command)
            if done.status != 0:
                raise RuntimeError(str(done))

    def same(self, *command):
        return " ".join(command), differences("", self.genuine(*command), self.ours(*command))

    def same_as_genuine(self):
        for name in INFO_NAMES:
            yield self.same("info", name)
        yield self.same("info", "--output=json", "rbd:rbd/a")
        yield self.same("info", "--output=json", "rbd:rbd/e")
        secrets = (*SECRET, "--object", f"secret,id=k,format=base64,data={self.cluster.key()}")
        for options in INFO_OPTIONS:
            name, problems = self.same("info", *secrets, "--image-opts", f"driver=rbd,pool=rbd,image=a,{options.format(port=self.cluster.v1)}")
            yield name.split("--image-opts ")[1], problems
        for options in CREATE_OPTIONS:
            yield self.same("create", *SECRET, "-f", "raw", "-o", options, "rbd:rbd/new", "8M")
        for command in (["create", "-f", "raw", "rbd:rbd/a", "1M"], ["create", "-f", "raw", "rbd:rbd/nons/x", "1M"], ["create", "-f", "raw", "rbd:rbd/x:id=ro", "1M"],
                        ["map", "--output=json", "rbd:rbd/a"], ["map", "rbd:rbd/a"], ["check", "rbd:rbd/a"], ["measure", "-f", "raw", "-O", "qcow2", "rbd:rbd/a"],
                        ["compare", "rbd:rbd/a", "disk"], ["compare", "rbd:rbd/a@s1", "disk"], ["snapshot", "-l", "rbd:rbd/a"],
                        ["snapshot", "-d", "nope", "rbd:rbd/a"], ["snapshot", "-c", "x", "rbd:rbd/a@s1"], ["resize", "-f", "raw", "rbd:rbd/a@s1", "8M"],
                        ["resize", "-f", "raw", "rbd:rbd/a", "1M"], ["resize", "-f", "raw", "--preallocation=full", "rbd:rbd/a", "8M"],
                        ["convert", "-O", "raw", "disk", "rbd:rbd/a"], ["convert", "-n", "-f", "raw", "-O", "raw", "disk", "rbd:rbd/a@s1"],
                        ["create", "-f", "qcow2", "-b", "rbd:rbd/a", "-F", "raw", "overlay"], ["info", "--backing-chain", "overlay"]):
            yield self.same(*command)

    def works(self, *command):
        done = self.ours(*command)
        return " ".join(command), [] if done.status == 0 else [str(done)]

    def identical(self, first, second="disk"):
        done = self.genuine("compare", first, second)
        return f"{first} is {second}", [] if done.status == 0 else [str(done)]

    def changes(self):
        """Sizes and snapshots; what a snapshot held comes back."""
        yield self.works("resize", "-f", "raw", "rbd:rbd/a", "6M")
        yield self.works("resize", "-f", "raw", "--shrink", "rbd:rbd/a", "1M")
        yield self.works("snapshot", "-a", "s1", "-f", "raw", "rbd:rbd/a")
        yield self.identical("rbd:rbd/a")
        self.cluster.run("rbd", "snap", "protect", "rbd/a@s1")
        yield self.same("snapshot", "-d", "s1", "-f", "raw", "rbd:rbd/a")
        yield self.works("convert", "-O", "raw", "rbd:rbd/a@s1", "back.raw")
        yield self.identical("back.raw")
        yield self.works("convert", "-O", "raw", "disk", "rbd:rbd/fresh")
        yield self.identical("rbd:rbd/fresh")
        used = sum(entry["length"] for entry in json.loads(self.cluster.run("rbd", "diff", "--format", "json", "rbd/fresh")))
        yield "zeroes are not stored", [] if used < 4 << 20 else [f"{used} bytes are"]
        yield self.works("snapshot", "-c", "t", "-f", "raw", "rbd:rbd/fresh")
        yield self.works("snapshot", "-d", "t", "-f", "raw", "rbd:rbd/fresh")
        yield self.same("snapshot", "-l", "rbd:rbd/fresh")

    def encrypted(self):
        """Few steps: each derives the key, which is meant to take seconds."""
        options = "driver=rbd,pool=rbd,image=e,encrypt.format=luks2,encrypt.key-secret=r"
        yield self.works("convert", *SECRET, "-n", "--target-image-opts", "-f", "raw", "disk", options)
        content = f"driver=raw,size={4 << 20},file." + options.replace(",", ",file.")
        self.genuine("convert", *SECRET, "--image-opts", "-O", "raw", content, "plain")
        same = (self.folder / "plain").read_bytes() == (self.folder / "disk").read_bytes()
        yield "read by the genuine tool", [] if same else ["differs"]
        yield self.works("resize", *SECRET, "--image-opts", options, "24M")
        yield self.same("info", "rbd:rbd/e")

    def read_only_user(self):
        """The genuine tool refuses all of these."""
        yield self.works("info", "rbd:rbd/a:id=ro")
        yield self.works("convert", "-O", "raw", "rbd:rbd/a:id=ro", "back.raw")
        yield self.identical("back.raw")
        done = self.ours("convert", "-n", "-f", "raw", "-O", "raw", "disk", "rbd:rbd/a:id=ro")
        yield "writing is refused", [] if done.status == 1 and "Operation not permitted" in done.err else [str(done)]

    def clones(self):
        self.cluster.run("rbd", "clone", "rbd/a@s1", "rbd/clone")
        yield self.works("convert", "-O", "raw", "rbd:rbd/clone", "back.raw")
        yield self.identical("back.raw")

    def other_formats(self):
        yield self.works("convert", "-O", "qcow2", "disk", "rbd:rbd/q")
        yield self.same("check", "rbd:rbd/q")
        yield self.same("info", "rbd:rbd/q")
        yield self.identical("rbd:rbd/q")
        yield self.works("snapshot", "-c", "inner", "rbd:rbd/q")
        yield self.same("snapshot", "-l", "rbd:rbd/q")

    def secrets(self):
        key = self.cluster.key()
        options = "driver=rbd,pool=rbd,image={},user={},key-secret=k,conf=/dev/null,server.0.host=127.0.0.1,server.0.port=" + str(self.cluster.v1)
        shutil.copy(self.cluster.folder / "keyring", self.folder / "keyring")
        (self.folder / "key").write_text(key)
        for image, user in (("a", "admin"), ("nope", "admin")):
            done = self.tool.run(*LOUD, "info", "--object", "secret,id=k,format=base64,file=key", "--image-opts",
                                 options.format(image, user), cwd=self.folder)
            right = (done.status == 0) == ((image, user) == ("a", "admin"))
            yield f"the key of {user} for {image}", ([] if right else [str(done)]) + shown(done, key)

    def conformance(self):
        yield from conformance(self.tool, self.folder, "rbd:rbd/", "rbd", prefix=self.environment)

    def dead(self):
        """An OSD that does not answer: an error in its time, and an end when that is wanted."""
        os.killpg(self.cluster.osd.process.pid, signal.SIGSTOP)
        try:
            done = self.ours("info", "rbd:rbd/a:rados_osd_op_timeout=1")
            right = done.status == 1 and "Connection timed out" in done.err and done.seconds < 5
            yield "an error in its time", [] if right else [str(done)]
            for command in (["info", "rbd:rbd/a"], ["convert", "-n", "-f", "raw", "-O", "raw", "disk", "rbd:rbd/a"]):
                yield f"{command[0]} is interrupted", interrupted(self.tool, self.folder, command, seconds=0.7, prefix=self.environment)
        finally:
            os.killpg(self.cluster.osd.process.pid, signal.SIGCONT)
        done = self.ours("info", r"rbd:rbd/a:mon_host=127.0.0.1\:1:client_mount_timeout=1")
        right = done.status == 1 and "error connecting: Connection timed out" in done.err and done.seconds < 5
        yield "no monitor", [] if right else [str(done)]


def cases(oracle, tool):
    yield "rbd", Rbd(oracle, tool).everything


def lacking():
    return missing(*NEEDS)
