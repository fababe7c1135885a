# SPDX-License-Identifier: Apache-2.0
"""A Ceph cluster of one monitor and one OSD that keeps everything in memory."""

import contextlib
import os
import subprocess
import time
import uuid

from servers import Server, free_port

GATEWAY_NEEDS = ("radosgw", "radosgw-admin")
NEEDS = ("ceph-mon", "ceph-osd", "ceph", "rbd", "ceph-authtool", "monmaptool")
USERS = {"ro": ("mon", "profile rbd", "osd", "profile rbd-read-only")}
CONF = """[global]
fsid = {fsid}
mon_host = [v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]
keyring = {folder}/keyring
auth_cluster_required = cephx
auth_service_required = cephx
auth_client_required = cephx
admin_socket =
pid_file =
log_file = {folder}/$name.log
run_dir = {folder}
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_allow_pool_delete = true
mon_data_avail_crit = 1
mon_data = {folder}/mon
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 4294967296
osd_client_watch_timeout = 3
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
ms_bind_msgr2 = true
[client]
log_file =
debug_ms = 0
"""


class Cluster:
    """Its files stand in `folder`; `conf` names its configuration."""

    def __init__(self, folder):
        self.folder = folder
        self.conf = folder / "ceph.conf"
        self.v1, self.v2 = free_port(), free_port()
        self.mon = self.osd = self.gateway = None

    def run(self, program, *arguments):
        environment = {**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin:/sbin"}
        done = subprocess.run([program, "-c", self.conf, *map(str, arguments)], cwd=self.folder, env=environment, capture_output=True,
                              text=True, timeout=30, check=False)
        if done.returncode != 0:
            raise RuntimeError(f"{program} {' '.join(map(str, arguments))}: {done.stderr[-500:]}")
        return done.stdout

    def start(self):
        fsid = uuid.uuid4()
        for name in ("mon", "osd", "mon-run", "osd-run"):
            (self.folder / name).mkdir(parents=True)
        self.conf.write_text(CONF.format(fsid=fsid, folder=self.folder, v1=self.v1, v2=self.v2))
        self.make_keys()
        addresses = f"[v2:127.0.0.1:{self.v2},v1:127.0.0.1:{self.v1}]"
        self.tool("monmaptool", "--create", "--addv", "a", addresses, "--fsid", fsid, "monmap")
        self.run("ceph-mon", "--mkfs", "-i", "a", "--monmap", "monmap", "--keyring", "keyring")
        self.mon = Server(["ceph-mon", "-f", "-i", "a", "-c", self.conf], self.folder / "mon-run", self.v1)
        self.mon.start()
        osd = uuid.uuid4()
        self.run("ceph", "osd", "new", osd, "0")
        self.run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        self.osd = Server(["ceph-osd", "-f", "-i", "0", "-c", self.conf], self.folder / "osd-run", self.v1)
        self.osd.start()
        self.wait_for_osd()
        self.run("ceph", "osd", "pool", "create", "rbd", "8", "8")
        self.run("ceph", "osd", "pool", "application", "enable", "rbd", "rbd")
        self.run("rbd", "create", "--size", "1M", "ready")
        self.run("rbd", "rm", "--no-progress", "ready")

    def tool(self, *command):
        subprocess.run([str(word) for word in command], cwd=self.folder, check=True, capture_output=True)

    def make_keys(self):
        self.tool("ceph-authtool", "--create-keyring", "keyring", "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        everything = [word for who in ("mon", "osd", "mgr") for word in ("--cap", who, "allow *")]
        self.tool("ceph-authtool", "keyring", "--gen-key", "-n", "client.admin", *everything)
        self.tool("ceph-authtool", "keyring", "--gen-key", "-n", "osd.0", "--cap", "mon", "allow profile osd", "--cap", "osd", "allow *")
        for name, caps in USERS.items():
            pairs = zip(caps[::2], caps[1::2])
            self.tool("ceph-authtool", "keyring", "--gen-key", "-n", f"client.{name}", *(word for pair in pairs for word in ("--cap", *pair)))

    def key(self, user="admin"):
        return subprocess.run(["ceph-authtool", "keyring", "-p", "-n", f"client.{user}"], cwd=self.folder, check=True,
                              capture_output=True, text=True).stdout.strip()

    def wait_for_osd(self):
        until = time.monotonic() + 20
        while " 1 up" not in self.run("ceph", "osd", "stat"):
            if time.monotonic() > until:
                raise RuntimeError("the OSD does not come up")
            time.sleep(0.05)

    def start_gateway(self, access_key, secret_key):
        """S3 for one user. Its port."""
        port = free_port()
        folder = self.folder / "gateway"
        folder.mkdir()
        options = (f"--rgw_frontends=beast endpoint=127.0.0.1:{port}", f"--rgw_data={folder}", "--osd_pool_default_pg_num=1",
                   "--osd_pool_default_pgp_num=1", "--rgw_run_sync_thread=false")
        self.gateway = Server(["radosgw", "-f", "-n", "client.admin", "-c", self.conf, *options], folder, port)
        self.gateway.start()
        self.run("radosgw-admin", "user", "create", "--uid=user", "--display-name=user", f"--access-key={access_key}",
                 f"--secret-key={secret_key}")
        return port

    def stop(self):
        if self.gateway:
            self.gateway.kill()  # it takes its time with SIGTERM
        for server in (self.gateway, self.osd, self.mon):
            if server:
                server.stop()


@contextlib.contextmanager
def cluster(folder):
    """Stopped whatever happens."""
    its = Cluster(folder)
    try:
        its.start()
        yield its
    finally:
        its.stop()
