"""`python -m bench.floods`: floods against a running worker, and a good client beside them.

One worker process on one core, the attacker on another; the good client shares the attacker's core
at a higher priority (if we may), so its control says what the core itself made it wait. Before each
flood the same client is measured without one. Beside floods over QUIC the client speaks HTTP/3, on
the same UDP socket; those run for `--quic-seconds`.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

from bench.compare.load import resident_bytes
from bench.compare.results import commit
from bench.compare.servers import (
    Setting,
    edge,
    free_port,
    make_certificates,
    origin,
    warm,
)
from bench.floods.attacks import ATTACKS, Attack
from bench.floods.client import LEAD_SECONDS
from bench.floods.quic_attacks import QUIC_ATTACKS
from bench.floods.quic_peer import QuicAttack

RESULTS = Path(__file__).resolve().parent.parent / "results"
BAR_MILLISECONDS = 50.0
BAR_MIB = 256.0
"""What a worker may hold beside its cache, which is next to empty here."""

_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Waits:
    """What the good client waited, in milliseconds; `control_p99` is its own core's lateness."""

    p50: float
    p99: float
    longest: float
    control_p99: float
    unanswered: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """One flood."""

    attack: str
    without: Waits
    beside: Waits
    worker_cpu: float  # share of its core
    worker_waited: float  # share of the time in which others had its core while it wanted to run
    rss_before: float  # MiB
    rss_peak: float
    rss_after: float
    connections: int
    sent_mib: float
    ends: dict[str, int]
    microseconds_per_packet: float  # of QUIC: the worker's CPU time, without the client's

    @property
    def is_kept(self) -> bool:
        """Whether the good client got what it was promised, and memory stayed in its bound."""
        is_served = self.beside.p99 < BAR_MILLISECONDS and not self.beside.unanswered
        return is_served and self.rss_peak < BAR_MIB


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.floods", description=__doc__)
    parser.add_argument("--only", action="append", metavar="WORDS", help="floods of this name")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--quic-seconds", type=float, default=2.0)
    parser.add_argument(
        "--rate", type=float, default=100.0, help="the client's requests per second"
    )
    parser.add_argument("--repeat", type=int, default=1)
    parser.add_argument("--worker-core", type=int, default=0)
    parser.add_argument("--attacker-core", type=int, default=1)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--save", action="store_true", help="keep the result under its commit")
    parser.add_argument("--gate", action="store_true", help="exit with 1 when a bar is passed")
    return parser.parse_args(argv)


def percentile(ordered: list[float], share: float) -> float:
    """Return the value below which that share of them is."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def _module(core: int, name: str, *words: object, priority: int = 0) -> list[str]:
    command = [sys.executable, "-m", f"bench.floods.{name}", *map(str, words)]
    if priority:
        command = ["nice", "-n", str(priority), *command]
    return ["taskset", "-c", str(core), *command]


def _client(
    options: argparse.Namespace, port: int, seconds: float, protocol: str
) -> "subprocess.Popen[str]":
    priority = -15 if os.geteuid() == 0 else 0
    words = (port, seconds, options.rate, protocol)
    command = _module(options.attacker_core, "client", *words, priority=priority)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    process.stdout.readline()  # it is connected
    return process


def _waits(process: "subprocess.Popen[str]") -> Waits:
    said, _ = process.communicate(timeout=120)
    found: dict[str, Any] = json.loads(said)
    ordered = found["latencies"]
    return Waits(
        p50=percentile(ordered, 0.5),
        p99=percentile(ordered, 0.99),
        longest=ordered[-1] if ordered else float("nan"),
        control_p99=percentile(found["lateness"], 0.99),
        unanswered=found["unanswered"],
    )


class Peak:
    """The highest resident memory while the block runs, looked at every 50 ms."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self.mib = 0.0

    def _watch(self) -> None:
        while not self._is_over.wait(0.05):
            self.mib = max(self.mib, resident_bytes(self._pid) / _MIB)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()


def serving(folder: Path) -> int:
    """Return the process that serves, as the edge's log names it."""
    log = (folder / "edge-1.log").read_text(encoding="utf-8")
    found = re.search(r"worker 0 is process (\d+)", log)
    assert found is not None, log
    return int(found[1])


def scheduled(pid: int) -> tuple[float, float]:
    """Return how long a process ran, and how long it wanted to and could not, in seconds."""
    ran, waited, _ = Path(f"/proc/{pid}/schedstat").read_text().split()
    return int(ran) / 1e9, int(waited) / 1e9


def measure(
    attack: Attack | QuicAttack, options: argparse.Namespace, port: int, pid: int
) -> Outcome:
    """Measure the client alone, then beside the flood."""
    is_quic = isinstance(attack, QuicAttack)
    lasts = options.quic_seconds if is_quic else options.seconds
    protocol, program = ("h3", "quic_attacker") if is_quic else ("h2", "attacker")
    began, _ = scheduled(pid)
    without = _waits(_client(options, port, lasts, protocol))
    alone = scheduled(pid)[0] - began
    before, (ran, waited) = resident_bytes(pid) / _MIB, scheduled(pid)
    with Peak(pid) as peak:
        client = _client(options, port, lasts, protocol)
        seconds = lasts + LEAD_SECONDS
        words = (port, attack.name, seconds, "127.0.0.2")
        attacker = subprocess.Popen(
            _module(options.attacker_core, program, *words, priority=5),
            stdout=subprocess.PIPE,
            text=True,
        )
        beside = _waits(client)
        ran, waited = (now - then for now, then in zip(scheduled(pid), (ran, waited), strict=True))
        said: dict[str, Any] = json.loads(attacker.communicate(timeout=120)[0])
    time.sleep(1.0)
    return Outcome(
        attack=label(attack),
        without=without,
        beside=beside,
        worker_cpu=ran / seconds,
        worker_waited=waited / seconds,
        rss_before=before,
        rss_peak=peak.mib,
        rss_after=resident_bytes(pid) / _MIB,
        connections=said["connections"],
        sent_mib=said["sent_bytes"] / _MIB,
        ends=said["ends"],
        microseconds_per_packet=1e6 * max(0.0, ran - alone) / max(1, said.get("packets", 0))
        if is_quic
        else 0.0,
    )


_HEAD = (
    "| flood | alone p50 / p99 | beside p50 / p99 / max | control p99 | ran + waited | RSS MiB "
    "| connections, MiB sent | ended by | kept |\n|---|---|---|---|---|---|---|---|---|"
)


def row(found: Outcome) -> str:
    """Return one line of the table; times in milliseconds."""
    ends = ", ".join(f"{number} {how}" for how, number in list(found.ends.items())[:3])
    alone, beside = found.without, found.beside
    each = (
        f", {found.microseconds_per_packet:.0f} µs/packet" if found.microseconds_per_packet else ""
    )
    return (
        f"| {found.attack} | {alone.p50:.1f} / {alone.p99:.1f} "
        f"| {beside.p50:.1f} / {beside.p99:.1f} / {beside.longest:.0f} | {beside.control_p99:.1f} "
        f"| {found.worker_cpu:.0%} + {found.worker_waited:.0%}{each} "
        f"| {found.rss_before:.0f} → {found.rss_peak:.0f} → {found.rss_after:.0f} "
        f"| {found.connections}, {found.sent_mib:.1f} | {ends} "
        f"| {'yes' if found.is_kept else 'NO'} |"
    )


def label(attack: Attack | QuicAttack) -> str:
    """Return the name under which a flood is found and shown."""
    return f"QUIC: {attack.name}" if isinstance(attack, QuicAttack) else attack.name


def run(options: argparse.Namespace) -> list[Outcome]:
    """Start a worker and an origin, and attack."""
    wanted = [
        attack
        for attack in (*ATTACKS, *QUIC_ATTACKS)
        if not options.only or any(words.lower() in label(attack).lower() for words in options.only)
    ]
    found = []
    with tempfile.TemporaryDirectory(prefix="edgeproxy-floods-") as name:
        folder = Path(name)
        chain, key, ca = make_certificates(folder)
        setting = Setting(folder, chain, key, ca, free_port(), options.worker_core)
        with (
            origin(setting, core=options.attacker_core),
            edge(setting, http3=True) as worker,
        ):
            for size in (1024, 1_048_576):
                warm(worker, size)
            pid = serving(folder)
            if os.geteuid() == 0:  # the worker is measured, not what else the machine does
                os.setpriority(os.PRIO_PROCESS, pid, -15)
            print(_HEAD, file=sys.stderr)
            for attack in wanted:
                for _ in range(options.repeat):
                    found.append(measure(attack, options, worker.port, pid))
                    print(row(found[-1]), file=sys.stderr, flush=True)
    return found


def main(argv: list[str] | None = None) -> int:
    """Attack; return 1 when a gated bar was passed."""
    options = arguments(argv)
    found = run(options)
    document = {
        "commit": commit(),
        "seconds": options.seconds,
        "quic_seconds": options.quic_seconds,
        "requests_per_second": options.rate,
        "floods": [asdict(each) for each in found],
    }
    text = json.dumps(document, indent=1) + "\n"
    if options.save:
        (RESULTS / f"floods-{commit()}.json").write_text(text, encoding="utf-8")
    print(text if options.json else "\n".join([_HEAD, *map(row, found)]) + "\n", end="")
    return 1 if options.gate and not all(each.is_kept for each in found) else 0


if __name__ == "__main__":
    sys.exit(main())
