"""Start the servers of a comparison, each as it would be run: pinned, warm, without access log.

Owns the processes it starts and ends them by id. Both caches get the same certificate, the same
origin and one worker on the same core.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgeproxy import __version__
from edgeproxy.tls.development import issue_leaf, make_ca

START_SECONDS = 15.0


class ServerError(Exception):
    """A server that does not start, or does not answer from its cache."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What the servers of one comparison share: a folder of their own, certificates, a core."""

    folder: Path
    chain: Path
    key: Path
    ca: Path
    origin_port: int
    core: int


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `path` has one `{size}`; `hit` is what a hit's fields hold, lower-case."""

    name: str
    version: str
    pid: int
    port: int
    path: str
    hit: str

    def url(self, size: int) -> str:
        """Return the address of a body of that size."""
        return f"https://localhost:{self.port}{self.path.format(size=size)}"


NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nodelay on;
    # a long run stays on its connections, as with the edge
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    open_file_cache max=1000 inactive=600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=bench:10m max_size=1g inactive=1h
        use_temp_path=off;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        server_name localhost;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        location / {{
            proxy_pass https://127.0.0.1:{origin_port};
            proxy_ssl_trusted_certificate {ca};
            proxy_ssl_verify on;
            proxy_ssl_name localhost;
            proxy_ssl_server_name on;
            proxy_set_header Host localhost;
            proxy_cache bench;
            proxy_cache_lock on;
            proxy_cache_valid 200 1h;
            add_header Cache-Status "nginx; $upstream_cache_status";
        }}
    }}
}}
"""


EDGE = """\
config_version = 1

[pop]
name = "bench{workers}"
state_dir = "state"

[listen]
https = "127.0.0.1:{port}"
workers = {workers}

[limits]
# a long run stays on its connections, as with nginx
max_requests_per_connection = 1000000

[cache.memory]
size = "256MiB"
max_object = "16MiB"

[origin.bench]
urls = ["https://127.0.0.1:{origin_port}"]
host = "localhost"
tls = {{ ca_file = "{ca}" }}

[[host]]
name = "localhost"
origin = "bench"
cert = {{ chain = "{chain}", key = "{key}" }}
hsts = {{ max_age = "1y" }}

  [[host.rule]]
  id = "entry"
  path = "/bootstrap.js"
  policy = "entry"

  [[host.rule]]
  id = "versioned"
  path = "/v{{semver}}/**"
  policy = "versioned"

[log]
access = {{ enabled = false }}
"""


def free_port() -> int:
    """Return a port that nobody listened on a moment ago, by TCP or by UDP."""
    while True:
        with socket.socket() as probe, socket.socket(type=socket.SOCK_DGRAM) as other:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
            with contextlib.suppress(OSError):
                other.bind(("127.0.0.1", port))
                return port


def make_certificates(folder: Path) -> tuple[Path, Path, Path]:
    """Make a CA and a leaf for localhost; return chain, key and the CA's certificate."""
    ca = make_ca(folder / "ca")
    leaf = issue_leaf(ca, folder / "leaf")
    return leaf.chain_path, leaf.key_path, ca.path


@contextmanager
def running(command: Sequence[str], port: int, log: Path, core: int | None) -> Iterator[int]:
    """Run a command until the block ends; yields its process id once the port answers."""
    pinned = [*(() if core is None else ("taskset", "-c", str(core))), *command]
    with log.open("wb") as output:
        process = subprocess.Popen(pinned, stdout=output, stderr=output, stdin=subprocess.DEVNULL)
    try:
        wait_for(port, process, log)
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once something listens on the port; raises ServerError when nothing will."""
    deadline = time.perf_counter() + START_SECONDS
    while time.perf_counter() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    said = log.read_text(errors="replace")[-2000:]
    raise ServerError(f"nothing answers on port {port}; the server said:\n{said}")


@contextmanager
def origin(setting: Setting, core: int | None = None) -> Iterator[None]:
    """Run the origin; on any core: it is idle while hits are measured."""
    command = [sys.executable, "-m", "bench.compare.origin", str(setting.origin_port)]
    command += [str(setting.chain), str(setting.key)]
    with running(command, setting.origin_port, setting.folder / "origin.log", core):
        yield


@contextmanager
def edge(setting: Setting, *, workers: int = 1, http3: bool = False) -> Iterator[Server]:
    """Run the edge with rules, Cache-Status, Age, Date and HSTS: what a hit costs in the field.

    Several workers have all cores.
    """
    port = free_port()
    config = setting.folder / f"edge-{workers}.toml"
    text = EDGE.format(
        workers=workers,
        port=port,
        origin_port=setting.origin_port,
        ca=setting.ca,
        chain=setting.chain,
        key=setting.key,
    )
    config.write_text(text.replace("[listen]", "[listen]\nhttp3 = true") if http3 else text)
    command = [sys.executable, "-m", "edgeproxy", "serve", "-c", str(config)]
    core = setting.core if workers == 1 else None
    with running(command, port, setting.folder / f"edge-{workers}.log", core) as pid:
        yield Server("edgeproxy", __version__, pid, port, "/v1.0.0/{size}.js", "; hit")


@contextmanager
def nginx(setting: Setting) -> Iterator[Server]:
    """Run nginx with proxy_cache: a master, one worker, a cache manager."""
    program = shutil.which("nginx", path=os.environ.get("PATH", "") + ":/usr/sbin")
    if program is None:
        raise ServerError("nginx is not installed")
    port = free_port()
    config = setting.folder / "nginx.conf"
    config.write_text(
        NGINX.format(
            folder=setting.folder,
            port=port,
            chain=setting.chain,
            key=setting.key,
            ca=setting.ca,
            origin_port=setting.origin_port,
        )
    )
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    version = said.strip().rpartition("/")[2]
    command = [program, "-p", str(setting.folder), "-c", str(config)]
    with running(command, port, setting.folder / "nginx.log", setting.core) as pid:
        yield Server("nginx", version, pid, port, "/v1.0.0/{size}.js", "nginx; hit")


@contextmanager
def stand_in(setting: Setting, command: str, path: str) -> Iterator[Server]:
    """Run any other server in the edge's place; `{port} {chain} {key}` are filled in."""
    port = free_port()
    filled = command.format(port=port, chain=setting.chain, key=setting.key).split()
    with running(filled, port, setting.folder / "stand-in.log", setting.core) as pid:
        yield Server("stand-in", "", pid, port, path, "")


def warm(server: Server, size: int) -> None:
    """Ask until the answer is a hit, over HTTP/2; raises ServerError when it never is."""
    said = ""
    for _ in range(10):
        command = ["nghttp", "-nv", "-y", server.url(size)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
        said = done.stdout.lower()
        if ":status: 200" in said and server.hit in said:
            return
        time.sleep(0.1)
    raise ServerError(f"{server.name} does not answer {server.url(size)} from its cache:\n{said}")
