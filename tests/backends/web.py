# SPDX-License-Identifier: Apache-2.0
"""Protocols http, https, ftp and ftps, against nginx, a web server that misbehaves, pyftpdlib and vsftpd."""

import os
import re
import shutil
import subprocess
import sys
import time

from harness.tool import differences
from bad_web import serving
from content import make_content
from kit import LOUD, conformance, interrupted, shown
from servers import Server, free_port, make_certificates, missing, running

NEEDS = ("nginx", "certtool", "openssl")

NGINX = """daemon off; master_process off; pid pid; error_log error.log; {user} worker_rlimit_nofile 1024; events {{}}
http {{ access_log off; client_body_temp_path t; proxy_temp_path t; fastcgi_temp_path t; uwsgi_temp_path t; scgi_temp_path t;
 server {{ listen 127.0.0.1:{http}; listen 127.0.0.1:{https} ssl; root {folder}/www;
  ssl_certificate {folder}/pki/server-cert.pem; ssl_certificate_key {folder}/pki/server-key.pem;
  location /no-ranges/ {{ alias {folder}/www/; max_ranges 0; }}
  location = /moved {{ return 302 /disk; }}
  location = /e500 {{ return 500; }}
  location /private/ {{ alias {folder}/www/; auth_basic x; auth_basic_user_file {folder}/passwords; }}
  location /cookie/ {{ alias {folder}/www/; if ($http_cookie != "k=v") {{ return 403; }} }}
 }} }}
"""

# Its user, made by the package, must not be able to write to what it serves.
VSFTPD = """background=NO\nlisten=YES\nlisten_address=127.0.0.1\nlisten_port={port}\nanonymous_enable=YES\nlocal_enable=NO
no_anon_password=YES\nanon_root={folder}/www\nftp_username=ftp\nsecure_chroot_dir={folder}/pki\nxferlog_enable=NO
seccomp_sandbox=NO\nisolate=NO\nisolate_network=NO\nssl_enable=YES\nimplicit_ssl=YES\nallow_anon_ssl=YES
force_anon_data_ssl=YES\nforce_anon_logins_ssl=YES\nrequire_ssl_reuse=NO
rsa_cert_file={folder}/pki/server-cert.pem\nrsa_private_key_file={folder}/pki/server-key.pem
"""


def nginx(folder, http, https):
    """Serves folder/www."""
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(folder=folder, http=http, https=https, user=user))
    return Server(["nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", folder / "error.log"], folder, http)


def without_time(result):
    return result._replace(err=re.sub(r"after \d+ ms", "after N ms", result.err))


class Web:
    """The cases of one run."""

    def __init__(self, oracle, tool):
        self.oracle = oracle
        self.tool = tool

    def prepare(self, folder):
        www = folder / "www"
        www.mkdir()
        make_content(www / "disk")
        (www / "odd").write_bytes(b"x" * 70001)
        self.oracle.must("convert", "-f", "raw", "-O", "qcow2", "disk", "image", cwd=www)
        make_certificates(folder / "pki")
        hashed = subprocess.run(["openssl", "passwd", "-apr1", "password"], check=True, capture_output=True, text=True).stdout
        (folder / "passwords").write_text(f"user:{hashed}")

    def same_as_genuine(self, folder):
        self.prepare(folder)
        http, https = free_port(), free_port()
        url, tls = f"http://127.0.0.1:{http}", f"https://127.0.0.1:{https}"
        secret = ("--object", "secret,id=s,data=password")
        cookie = ("--object", "secret,id=s,data=k=v")
        options = ["driver=http", "driver=http,url=ftp://x/y", f"driver=https,url={url}/disk", f"driver=http,filename={url}/disk",
                   f"driver=https,url={tls}/disk,sslverify=off", f"driver=https,url={tls}/disk,sslverify=foo"]
        options += [f"driver=http,url={url}/{rest}" for rest in (
            "disk,readahead=1000", "disk,readahead=64k,timeout=3", "disk,timeout=100000", "disk,timeout=x", "disk,bogus=x",
            "disk,username=u", "disk,password-secret=none", "cookie/disk,cookie=k=v", "disk,proxy-username=x",
            "disk,proxy-password-secret=x", "disk,cookie-secret=x")]
        commands = [["info", f"{url}/{path}"] for path in ("disk", "image", "nope", "moved", "e500", "private/disk", "a b")]
        commands += [["info", "--image-opts", text] for text in options]
        commands += [["info", f"http://user:password@127.0.0.1:{http}/private/disk"], ["info", f"{tls}/disk"],
                     ["info", *secret, "--image-opts", f"driver=http,url={url}/private/disk,username=user,password-secret=s"],
                     ["info", *cookie, "--image-opts", f"driver=http,url={url}/cookie/disk,cookie-secret=s"],
                     ["info", *cookie, "--image-opts", f"driver=http,url={url}/disk,cookie-secret=s,cookie=x"],
                     ["info", "http:x"], ["info", "http://"], ["info", "http://127.0.0.1:1/x"], ["info", "http://nosuchhost.invalid/x"],
                     ["info", "--output=json", f'json:{{"driver":"qcow2","file":{{"driver":"https","url":"{tls}/image","sslverify":"off"}}}}'],
                     ["info", f'json:{{"driver":"raw","offset":512,"file":{{"driver":"http","url":"{url}/disk","timeout":"7","cookie":"k=v"}}}}'],
                     ["create", "-f", "raw", f"{url}/new", "1M"], ["create", "-f", "qcow2", f"{url}/new", "1M"],
                     ["convert", "-n", "-f", "raw", "-O", "raw", "www/disk", f"{url}/disk"], ["resize", "-f", "raw", f"{url}/disk", "20M"],
                     ["bench", "-w", "-c", "1", "-f", "raw", f"{url}/disk"], ["map", "-f", "raw", "--output=json", f"{url}/disk"],
                     ["map", "-f", "raw", "--output=json", f"{url}/odd"], ["map", f"{url}/image"], ["map", "--output=json", "--image-opts", f"driver=http,url={url}/disk"], ["compare", f"{url}/image", "www/disk"], ["check", f"{url}/image"],
                     ["measure", "-f", "raw", "-O", "qcow2", f"{url}/disk"],
                     ["create", "-f", "qcow2", "-b", f"{url}/image", "-F", "qcow2", "overlay"], ["info", "--backing-chain", "overlay"]]
        with running(nginx(folder, http, https)):
            for command in commands:
                wanted, got = (without_time(tool.run(*command, cwd=folder)) for tool in (self.oracle, self.tool))
                yield " ".join(command).replace(str(https), "TLS").replace(str(http), "PORT"), differences("", wanted, got)
            yield from conformance(self.tool, folder, f"{url}/disk", "curl", "--only", "http")
            yield from self.copies(folder, {"raw": f"{url}/disk", "qcow2": f"{url}/image", "no ranges": f"{url}/no-ranges/image",
                                            "moved": f"{url}/moved"})

    def copies(self, folder, urls):
        """What the genuine tool may hang in, with several requests in flight."""
        wanted = (folder / "www/disk").read_bytes()
        for name, url in urls.items():
            got = self.tool.run("convert", *([] if url.endswith("image") else ["-f", "raw"]), "-O", "raw", url, "out", cwd=folder)
            same = got.status == 0 and (folder / "out").read_bytes() == wanted
            yield f"copy of {name}", [] if same else [str(got)]

    def misbehaving(self, folder):
        make_content(folder / "disk")
        content = (folder / "disk").read_bytes()
        # Each ends with the right data, or with an error that says this.
        ways = {"good": None, "no-ranges": None, "lying": None, "other-range": None, "no-range-header": None, "cut": None,
                "flaky": None, "too-much": None, "slow": None, "no-head": None, "expiring": None,
                "always-cut": "curl: ", "endless": "Server didn't report file size.", "changing": "changed while it was read",
                "to-file": "not supported", "loop": "redirects", "silent": "curl: ", "stops": "curl: ", "deaf": "timed out"}
        with serving(content) as server:
            for way, error in ways.items():
                options = f"driver=raw,file.driver=http,file.url={server.url(way)},file.timeout={1 if error else 2},file.readahead=64k"
                got = self.tool.run("convert", "-O", "raw", "--image-opts", options, "out", cwd=folder, timeout=40)
                out = folder / "out"
                if error is None:
                    right = got.status == 0 and out.read_bytes() == content
                else:
                    right = got.status == 1 and error in got.err and not out.exists() and got.seconds < 5
                yield way, [] if right else [str(got)]
                out.unlink(missing_ok=True)

    def random_reads(self, folder):
        """Small reads here and there, of a server that knows no ranges: a window is kept."""
        make_content(folder / "disk")
        self.oracle.must("convert", "-f", "raw", "-O", "qcow2", "-o", "cluster_size=512", "disk", "image", cwd=folder)
        with serving((folder / "image").read_bytes()) as server:
            for way in ("good", "no-ranges", "lying", "cut"):
                got = self.tool.run("compare", "-f", "qcow2", "-F", "raw", server.url(way), "disk", cwd=folder)
                yield way, [] if (got.status, got.out) == (0, "Images are identical.\n") else [str(got)]

    def private_things(self, folder):
        """Credentials go to the user's host only, and show nowhere."""
        secrets = ("--object", "secret,id=p,data=pa55word", "--object", "secret,id=c,data=c00kie")
        with serving(bytes(65536)) as server:
            options = f"driver=http,url={server.url('to-other-host')},username=u,password-secret=p,cookie-secret=c"
            got = self.tool.run(*LOUD, "convert", *secrets, "-O", "raw", "--image-opts", options, "out", cwd=folder)
            there = [headers for _, path, headers in server.seen if path.startswith("/good")]
            here = [headers for _, path, headers in server.seen if path.startswith("/to-other")]
        yield "status", [] if got.status == 0 else [str(got)]
        yield "sent to the host", [] if here and all(h.get("Cookie") == "c00kie" for h in here) else [str(here)]
        yield "not sent elsewhere", [] if there and not any("Cookie" in h or "Authorization" in h for h in there) else [str(there)]
        bad = self.tool.run(*LOUD, "info", *secrets, "--image-opts", options.replace("to-other-host", "loop"), cwd=folder)
        yield "not shown", shown(got, "pa55word", "c00kie") + shown(bad, "pa55word", "c00kie")

    def several_connections(self, folder):
        with serving(os.urandom(16 << 20)) as server:
            start = time.monotonic()
            got = self.tool.run("convert", "-f", "raw", "-O", "raw", server.url("slow"), "out", cwd=folder)
            seconds = time.monotonic() - start
            ranges = [headers["Range"] for _, _, headers in server.seen if "Range" in headers]
        one_by_one = 1.6 * len(ranges)
        yield "", [] if got.status == 0 and seconds < one_by_one / 2 else [f"{seconds:.1f} s for {len(ranges)} answers of 1.6 s"]

    def interrupted(self, folder):
        with serving(bytes(1 << 20)) as server:
            for way in ("silent", "deaf"):
                command = ["convert", "--image-opts", "-O", "raw", f"driver=http,url={server.url(way)},timeout=20", "out"]
                yield way, interrupted(self.tool, folder, command, seconds=0.7)

    def ftp(self, folder):
        self.prepare(folder)
        port = free_port()
        url = f"ftp://127.0.0.1:{port}"
        server = Server([ftp_python(), "-m", "pyftpdlib", "-i", "127.0.0.1", "-p", port, "-d", folder / "www"], folder, port)
        with running(server):
            for command in (["info", f"{url}/disk"], ["info", f"{url}/image"], ["info", f"{url}/nope"], ["info", "--image-opts", "driver=ftp,url=http://x"],
                            ["info", "--image-opts", f"driver=ftp,url={url}/disk,readahead=64k"], ["create", "-f", "raw", f"{url}/new", "1M"],
                            ["compare", f"{url}/image", "www/disk"]):
                wanted, got = (tool.run(*command, cwd=folder) for tool in (self.oracle, self.tool))
                yield " ".join(command).replace(str(port), "PORT"), differences("", wanted, got)
            yield from self.copies(folder, {"raw": f"{url}/disk", "qcow2": f"{url}/image"})

    def ftps(self, folder):
        """The genuine tool tells what is there, but fails to read it."""
        self.prepare(folder)
        port = free_port()
        (folder / "vsftpd.conf").write_text(VSFTPD.format(folder=folder, port=port))
        for reached in (folder.parent, folder):
            reached.chmod(0o755)
        options = f"driver=ftps,url=ftps://127.0.0.1:{port}/disk,sslverify=off"
        with running(Server(["vsftpd", folder / "vsftpd.conf"], folder, port)):
            wanted, got = (tool.run("info", "--image-opts", options, cwd=folder) for tool in (self.oracle, self.tool))
            yield "info", differences("", wanted, got)
            bad = self.tool.run("info", f"ftps://127.0.0.1:{port}/disk", cwd=folder)
            yield "a certificate of nobody known", [] if bad.status == 1 and "certificate verification failed" in bad.err else [str(bad)]
            got = self.tool.run("convert", "--image-opts", "-O", "raw", f"driver=raw,file.{options.replace(',', ',file.')}", "out", cwd=folder)
            same = got.status == 0 and (folder / "out").read_bytes() == (folder / "www/disk").read_bytes()
            yield "copy", [] if same else [str(got)]


def cases(oracle, tool):
    suite = Web(oracle, tool)
    methods = ["same_as_genuine", "misbehaving", "random_reads", "private_things", "several_connections", "interrupted"]
    if ftp_python():
        methods.append("ftp")
    else:
        print("skipped ftp: not installed: python3-pyftpdlib", flush=True)
    if missing("vsftpd"):
        print("skipped ftps: not installed: vsftpd", flush=True)
    elif os.geteuid() != 0:
        print("skipped ftps: its server needs root", flush=True)
    else:
        methods.append("ftps")
    for method in methods:
        yield f"web {method.replace('_', ' ')}", getattr(suite, method)


def ftp_python():
    """The interpreter that has pyftpdlib, or None: Debian's packages are the system's."""
    def has_it(python):
        return subprocess.run([python, "-c", "import pyftpdlib"], capture_output=True, check=False).returncode == 0
    return next((python for python in (sys.executable, "/usr/bin/python3") if shutil.which(python) and has_it(python)), None)


def lacking():
    return missing(*NEEDS)
