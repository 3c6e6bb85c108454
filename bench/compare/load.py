"""Drive one server with h2load, and read what it cost from the kernel.

The yardstick is server CPU per request: user and system time of every process of the server,
divided by completed requests. On a small machine the client is often the bottleneck, and requests
per second tell more about it than about the server.
"""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
# h2load is told to give up a connection on which nothing moves; this is for when it does not
RUN_SECONDS = 180
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
# what a browser sends along with a script, beside the pseudo-fields
BROWSER_FIELDS = (
    "accept: */*",
    "accept-encoding: gzip, deflate, br, zstd",
    "accept-language: en-GB,en;q=0.9",
    "referer: https://shop.example/",
    "sec-fetch-dest: script",
    "sec-fetch-mode: no-cors",
    "sec-fetch-site: cross-site",
    "user-agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/130.0 Safari/537.36",
)
_REQUESTS = re.compile(
    r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded, "
    r"(\d+) failed, (\d+) errored, (\d+) timeout"
)
_TRAFFIC = re.compile(r"\((\d+)\) total, .*?\((\d+)\) headers .*\((\d+)\) data")
_RATE = re.compile(r"finished in [^,]+, ([0-9.]+) req/s")


class LoadError(Exception):
    """A run that cannot be counted: something failed, or other bytes came than were asked for."""


@dataclass(frozen=True, slots=True)
class Load:
    """How h2load asks."""

    clients: int = 20
    streams: int = 10
    suite: str = "TLS_AES_256_GCM_SHA384"
    fields: tuple[str, ...] = ()
    core: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What h2load saw."""

    requests: int
    succeeded: int
    header_bytes: int
    data_bytes: int
    requests_per_second: float
    suite: str
    protocol: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: the server's CPU per request and what the client saw."""

    microseconds: float
    requests_per_second: float
    header_bytes: float
    resident_bytes: int


def parse_h2load(text: str) -> Outcome:
    """Read h2load's report; raises LoadError when it holds no result."""
    requests, traffic, rate = _REQUESTS.search(text), _TRAFFIC.search(text), _RATE.search(text)
    if requests is None or traffic is None or rate is None:
        raise LoadError(f"h2load gave no result:\n{text[-2000:]}")
    total, succeeded = int(requests[1]), int(requests[2])
    return Outcome(
        requests=total,
        succeeded=succeeded,
        header_bytes=int(traffic[2]),
        data_bytes=int(traffic[3]),
        requests_per_second=float(rate[1]),
        suite=_after(text, "Cipher: "),
        protocol=_after(text, "TLS Protocol: "),
    )


def _after(text: str, label: str) -> str:
    match = re.search(re.escape(label) + r"(\S+)", text)
    return match[1] if match else ""


def check(outcome: Outcome, requests: int, size: int, load: Load) -> None:
    """Refuse a run in which anything was lost or another suite was spoken."""
    if outcome.succeeded != requests or outcome.requests != requests:
        raise LoadError(f"{outcome.succeeded} of {requests} requests succeeded")
    if outcome.data_bytes != requests * size:
        raise LoadError(f"{outcome.data_bytes} bytes came, {requests * size} were asked for")
    if outcome.protocol != "TLSv1.3" or outcome.suite != load.suite:
        raise LoadError(f"spoken was {outcome.protocol} {outcome.suite}, not {load.suite}")


def drive(url: str, requests: int, load: Load) -> Outcome:
    """Run h2load on its own core until every request is answered."""
    fields = [f"--header={field}" for field in load.fields]
    command = [
        *("taskset", "-c", str(load.core), "h2load"),
        *("-N", "10", "-n", str(requests), "-c", str(load.clients), "-m", str(load.streams)),
        *(f"--tls13-ciphers={load.suite}", *fields, url),
    ]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=RUN_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise LoadError(f"{url}: no end after {RUN_SECONDS} s") from error
    return parse_h2load(done.stdout)


def family(root: int) -> set[int]:
    """Return a process and all its descendants."""
    parents: dict[int, int] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            # the command's name stands in parentheses and may hold anything
            rest = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        parents[int(path.parent.name)] = int(rest[1])
    found = {root}
    while grown := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= grown
    return found


def cpu_seconds(root: int) -> float:
    """Return user and system time of a process and its descendants so far."""
    ticks = 0
    for pid in family(root):
        rest = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(rest[11]) + int(rest[12])
    return ticks / TICKS_PER_SECOND


def resident_bytes(root: int) -> int:
    """Return the resident memory of a process and its descendants."""
    pages = (Path(f"/proc/{pid}/statm").read_text().split()[1] for pid in family(root))
    return sum(map(int, pages)) * PAGE_BYTES


def measure(url: str, root: int, *, size: int, requests: int, load: Load) -> Sample:
    """Drive a server and return what each request cost it."""
    before = cpu_seconds(root)
    outcome = drive(url, requests, load)
    spent = cpu_seconds(root) - before
    check(outcome, requests, size, load)
    return Sample(
        microseconds=spent / requests * 1e6,
        requests_per_second=outcome.requests_per_second,
        header_bytes=outcome.header_bytes / requests,
        resident_bytes=resident_bytes(root),
    )
