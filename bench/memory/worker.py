"""The process that is measured: an edge of one worker, beside its origin."""

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from ssl import create_default_context

from bench.compare.servers import EDGE, ServerError, free_port, make_certificates, running

KIB = 1024
MIB = 1 << 20

CONFIG = "edge.toml"
_PLACES = {"rule": "/v1.0.0/", "no rule": "/plain/"}


@dataclass(frozen=True, slots=True)
class Resident:
    """What a process holds of memory, in bytes; PSS has only its share of what others map too."""

    rss: int
    pss: int


def resident(pid: int) -> Resident:
    """Return what a process holds now."""
    said = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    found = dict(re.findall(r"^(\w+):\s+(\d+) kB", said, re.MULTILINE))
    return Resident(int(found["Rss"]) * KIB, int(found["Pss"]) * KIB)


def cpu_seconds(pid: int) -> float:
    """Return the CPU time that a process has had, user and system."""
    words = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Worker:
    """A running edge of one worker."""

    folder: Path
    pid: int
    port: int
    origin_port: int
    ca: Path

    def url(self, place: str, number: int, size: int, kind: str = "") -> str:
        """Return the address of an object, under a caching rule or without one."""
        return f"https://localhost:{self.port}{_PLACES[place]}{kind}{number}-{size}.js"

    def asked_of_the_origin(self) -> int:
        """Return how many objects the origin was asked for."""
        context = create_default_context(cafile=str(self.ca))
        address = f"https://localhost:{self.origin_port}/count"
        with urllib.request.urlopen(address, context=context, timeout=30) as answer:
            return int(answer.read())


@contextmanager
def worker(folder: Path, budget: int) -> Iterator[Worker]:
    """Run an edge of one worker with that memory budget, and its origin, until the block ends."""
    chain, key, ca = make_certificates(folder)
    port, origin_port = free_port(), free_port()
    config = EDGE.format(
        workers=1, port=port, origin_port=origin_port, ca=ca, chain=chain, key=key
    ).replace('"256MiB"', f'"{budget // MIB}MiB"')
    file = folder / CONFIG
    file.write_text(config.replace('"16MiB"', '"4MiB"'), encoding="utf-8")
    source = [sys.executable, "-m", "bench.memory.origin", str(origin_port), str(chain), str(key)]
    serve = [sys.executable, "-m", "edgeproxy", "serve", "-c", str(file)]
    log = folder / "edge.log"
    with (
        running(source, origin_port, folder / "origin.log", None),
        running(serve, port, log, None),
    ):
        found = re.search(r"worker 0 is process (\d+)", log.read_text(encoding="utf-8"))
        if found is None:
            raise ServerError("the log names no worker")
        yield Worker(folder, int(found[1]), port, origin_port, ca)


def stored(edge: Worker) -> tuple[int, int]:
    """Return how many objects the memory tier says it holds, and of how many octets."""
    command = [
        sys.executable,
        "-m",
        "edgeproxy",
        "status",
        "--json",
        "-c",
        str(edge.folder / CONFIG),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    tier = json.loads(done.stdout)["cache"]["memory"]
    return int(tier["objects"]), int(tier["bytes"])


def h2load(*words: object, urls: Sequence[str], name: Path) -> list[str]:
    """Return the command that asks for these addresses, which are written to a file."""
    program = shutil.which("h2load")
    if program is None:
        raise ServerError("h2load is not installed")
    name.write_text("\n".join(urls) + "\n", encoding="ascii")
    return [program, *map(str, words), "-i", str(name)]


def ask(edge: Worker, urls: Sequence[str], *words: object) -> None:
    """Ask once for each of these addresses, over HTTP/2; raises ServerError unless all come."""
    command = h2load("-c1", "-m50", "-n", len(urls), *words, urls=urls, name=edge.folder / "urls")
    said = subprocess.run(command, capture_output=True, text=True, timeout=1800, check=False).stdout
    if f" {len(urls)} succeeded" not in said or f"{len(urls)} 2xx" not in said:
        raise ServerError(f"not every object came:\n{said[-1500:]}")
