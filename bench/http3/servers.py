"""The servers of a comparison over HTTP/3, each with one worker on the same core."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version

from bench.compare.servers import EDGE, Server, Setting, free_port, running
from bench.http3.load import STREAMS_MAX, Programs
from edgeproxy import __version__

PATH = "/v1.0.0/{size}.js"

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/octet-stream;
    keepalive_requests 100000000;
    open_file_cache max=1000 inactive=600s;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=bench:10m max_size=1g inactive=1h
        use_temp_path=off;
    http3_max_concurrent_streams {streams};
    quic_gso on;
    server {{
        listen 127.0.0.1:{port} quic;
        listen 127.0.0.1:{port} ssl;
        http2 on;
        server_name localhost;
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.3;
        location / {{
            proxy_pass https://127.0.0.1:{origin_port};
            proxy_set_header Host localhost;
            proxy_cache bench;
            proxy_cache_valid 200 1h;
            add_header Cache-Status "nginx; $upstream_cache_status";
        }}
    }}
}}
"""


@contextmanager
def edge(setting: Setting) -> Iterator[Server]:
    """Run the edge as in `bench.compare`, with HTTP/3."""
    port = free_port()
    text = EDGE.format(
        workers=1,
        port=port,
        origin_port=setting.origin_port,
        ca=setting.ca,
        chain=setting.chain,
        key=setting.key,
    )
    text = text.replace("[listen]", "[listen]\nhttp3 = true")
    text = text.replace("[limits]", f"[limits]\nmax_streams_per_connection = {STREAMS_MAX}")
    config = setting.folder / "edge.toml"
    config.write_text(text)
    command = [sys.executable, "-m", "edgeproxy", "serve", "-c", str(config)]
    with running(command, port, setting.folder / "edge.log", setting.core) as pid:
        yield Server("edgeproxy", __version__, pid, port, PATH, "; hit")


@contextmanager
def stock(setting: Setting) -> Iterator[Server]:
    """Run aioquic's own server."""
    port = free_port()
    command = [sys.executable, "-m", "bench.http3.stock"]
    command += [str(port), str(setting.chain), str(setting.key)]
    with running(command, port, setting.folder / "stock.log", setting.core) as pid:
        yield Server("aioquic", version("aioquic"), pid, port, PATH, "")


@contextmanager
def nginx(setting: Setting, programs: Programs) -> Iterator[Server | None]:
    """Run nginx with proxy_cache over HTTP/3; None when there is none that speaks it."""
    program = programs.command("nginx")
    if program is None:
        yield None
        return
    said = subprocess.run([*program, "-V"], capture_output=True, text=True, check=True).stderr
    if "http_v3_module" not in said:
        yield None
        return
    port = free_port()
    config = setting.folder / "nginx.conf"
    config.write_text(
        NGINX.format(
            folder=setting.folder,
            port=port,
            chain=setting.chain,
            key=setting.key,
            origin_port=setting.origin_port,
            streams=STREAMS_MAX,
        )
    )
    command = [*program, "-p", str(setting.folder), "-c", str(config)]
    with running(command, port, setting.folder / "nginx.log", setting.core) as pid:
        found = said.partition("nginx/")[2].split()[0]
        yield Server("nginx", found, pid, port, PATH, "nginx; hit")
