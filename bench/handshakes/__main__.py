"""`python -m bench.handshakes`: server CPU per TLS handshake, the edge beside nginx, in one run.

Both servers run at once, each with one worker on the same core; a client on another core makes one
connection after the other, turn by turn. What is counted is a whole connection: accept, handshake,
tickets, close.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from bench.compare.load import RUN_SECONDS, LoadError, cpu_seconds
from bench.compare.results import commit, machine
from bench.compare.servers import Server, ServerError, free_port, running
from bench.handshakes.material import Certificate, certificates
from edgeproxy import __version__

RESULTS = Path(__file__).resolve().parent.parent / "results"

NGINX = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    ssl_protocols TLSv1.3;
    ssl_stapling on;
{servers}
}}
"""
NGINX_SERVER = """\
    server {{
        listen 127.0.0.1:{port} ssl http2;
        server_name {host};
        ssl_certificate {chain};
        ssl_certificate_key {key};
        ssl_stapling_file {staple};
        return 204;
    }}
"""
EDGE = """\
config_version = 1
[pop]
state_dir = "state"
[listen]
https = "127.0.0.1:{port}"
workers = 1
[origin.none]
urls = ["http://127.0.0.1:9"]
allow_http = true
{hosts}
[log]
access = {{ enabled = false }}
"""
EDGE_HOST = """\
[[host]]
name = "{host}"
origin = "none"
cert = {{ chain = "{chain}", key = "{key}" }}
"""


@dataclass(slots=True)
class Row:
    """One kind of handshake: microseconds of every round, ours and theirs."""

    kind: str
    how: str
    staple: str
    ours: list[float] = field(default_factory=list)
    theirs: list[float] = field(default_factory=list)

    @property
    def ratio(self) -> float:
        """The median over the rounds of ours to theirs."""
        return median(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "key": self.kind,
            "handshake": self.how,
            "staple": self.staple == "staple",
            "ours": round(median(self.ours), 1),
            "theirs": round(median(self.theirs), 1),
            "ratio": round(self.ratio, 3),
            "samples": {"ours": self.ours, "theirs": self.theirs},
        }


def rows() -> list[Row]:
    """Return what is measured; a resumed handshake shows no certificate of either kind."""
    full = [
        Row(kind, "full", staple) for kind in ("ecdsa", "rsa") for staple in ("plain", "staple")
    ]
    return [*full, Row("ecdsa", "resumed", "plain")]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.handshakes", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--handshakes", type=int, default=1500, help="per run")
    parser.add_argument("--server-core", type=int, default=0)
    parser.add_argument("--client-core", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", action="store_true", help="keep the result under its commit")
    return parser.parse_args(argv)


def _filled(template: str, made: list[Certificate], **more: object) -> str:
    return "".join(
        template.format(host=each.host, chain=each.chain, key=each.key, staple=each.staple, **more)
        for each in made
    )


@contextmanager
def edge(folder: Path, made: list[Certificate], core: int) -> Iterator[Server]:
    """Run the edge, which fetches its staples before it listens."""
    port = free_port()
    config = folder / "edge.toml"
    config.write_text(EDGE.format(port=port, hosts=_filled(EDGE_HOST, made)))
    command = [sys.executable, "-m", "edgeproxy", "serve", "-c", str(config)]
    with running(command, port, folder / "edge.log", core) as pid:
        yield Server("edgeproxy", __version__, pid, port, "", "")


@contextmanager
def nginx(folder: Path, made: list[Certificate], core: int) -> Iterator[Server]:
    """Run nginx with one worker, which reads its staples from files."""
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        raise ServerError("nginx is not installed")
    port = free_port()
    config = folder / "nginx.conf"
    servers = _filled(NGINX_SERVER, made, port=port)
    config.write_text(NGINX.format(folder=folder, servers=servers))
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr
    command = [program, "-p", str(folder), "-c", str(config)]
    with running(command, port, folder / "nginx.log", core) as pid:
        yield Server("nginx", said.strip().rpartition("/")[2], pid, port, "", "")


def measure(server: Server, row: Row, number: int, core: int) -> float:
    """Return the server's CPU microseconds per connection."""
    words = (server.port, f"{row.kind}.localhost", number, row.how, row.staple)
    command = ["taskset", "-c", str(core), sys.executable, "-m", "bench.handshakes.client"]
    before = cpu_seconds(server.pid)
    done = subprocess.run(
        [*command, *map(str, words)],
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS,
        check=False,
    )
    if done.returncode:
        raise LoadError(f"{server.name}, {row.kind}, {row.how}: {done.stderr[-500:]}")
    return round((cpu_seconds(server.pid) - before) / number * 1e6, 1)


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure every row in rounds."""
    found = rows()
    with tempfile.TemporaryDirectory(prefix="edgeproxy-handshakes-") as name:
        folder = Path(name)
        folder.chmod(0o755)  # nginx's worker may be another user
        with (
            certificates(folder) as made,
            edge(folder, made, options.server_core) as ours,
            nginx(folder, made, options.server_core) as theirs,
        ):
            for row in found:
                for _ in range(options.rounds):
                    for server, samples in ((ours, row.ours), (theirs, row.theirs)):
                        samples.append(
                            measure(server, row, options.handshakes, options.client_core)
                        )
                print(_line(row), file=sys.stderr)
            versions = {ours.name: ours.version, theirs.name: theirs.version}
    return {
        "what": "server CPU microseconds per connection with a TLS 1.3 handshake, X25519",
        "commit": commit(),
        "machine": machine(),
        "versions": versions,
        "handshakes": options.handshakes,
        "rows": [row.to_json() for row in found],
    }


def _line(row: Row) -> str:
    kind = "any" if row.how == "resumed" else row.kind
    staple = "yes" if row.staple == "staple" else "no"
    return (
        f"| {row.how} | {kind} | {staple} | {median(row.ours):.0f} | {median(row.theirs):.0f} "
        f"| {row.ratio:.2f} |"
    )


def main(argv: list[str] | None = None) -> int:
    """Measure; return 69 when nothing can be measured."""
    options = arguments(argv)
    print("| handshake | key | stapled | edgeproxy µs | nginx µs | ratio |", file=sys.stderr)
    try:
        found = run(options)
    except (LoadError, ServerError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 69
    text = json.dumps(found, indent=1) + "\n"
    if options.save:
        (RESULTS / f"handshakes-{commit()}.json").write_text(text, encoding="utf-8")
    if options.json:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
