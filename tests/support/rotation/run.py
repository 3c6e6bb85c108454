"""Runs a PoP, its responder and its origin, lets a crowd in, and replaces certificates meanwhile.

found = await rotate(tmp_path, seconds=8, handshake_rate=100, request_rate=50, swaps=6)
assert found.faults() == []
"""

import asyncio
import json
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.compare.load import cpu_seconds
from bench.compare.servers import free_port
from bench.floods.__main__ import percentile
from tests.support.ca import LocalCa
from tests.support.ocsp_answers import OcspAnswers
from tests.support.ocsp_responder import OcspResponder
from tests.support.operators import ask
from tests.support.pop import ENTRY, Place, scripted_origin
from tests.support.rotation.crowd import BODY_BYTES, NAME, PATH
from tests.support.rotation.renewals import Renewals
from tests.support.runs.crowds import crowd, goodbye
from tests.support.served import served

_CROWD = "tests.support.rotation.crowd"
_SWAP_SECONDS = 20.0
_POLL_SECONDS = 0.05
_METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
_SWAPS = re.compile(r"^edge_certificate_swaps_total\{.*\} (\S+)$", re.MULTILINE)
_HANDSHAKES = re.compile(
    r'^edge_tls_handshakes_total\{.*outcome="([^"]*)".*\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True)
class Outcome:
    """What clients saw, what the PoP counted, and what it said."""

    seconds: float
    cpu_seconds: float
    seen: dict[str, Any]
    swaps: list[dict[str, Any]]
    swaps_wanted: int
    swaps_counted: int
    handshakes_counted: dict[str, int]
    said: str

    def summary(self) -> dict[str, Any]:
        """Return the figures; times in milliseconds."""
        taken, late = self.seen["milliseconds"], self.seen["late_milliseconds"]
        return {
            "seconds": round(self.seconds, 1),
            "handshakes": self.seen["handshakes"],
            "handshakes per second": round(self.seen["handshakes"] / self.seconds, 1),
            "failed handshakes": self.seen["failed_handshakes"],
            "by kind": dict(self.seen["kinds"]),
            "certificates shown": len(self.seen["shown"]),
            "requests": self.seen["requests"],
            "failed requests": self.seen["failed_requests"],
            "connections lost": self.seen["lost_connections"],
            "swaps counted": self.swaps_counted,
            "handshake ms p50, p99, max": [round(percentile(taken, s), 1) for s in (0.5, 0.99, 1)],
            "client late ms p50, p99, max": [round(percentile(late, s), 1) for s in (0.5, 0.99, 1)],
            "swap ms, longest": round(
                max((each["milliseconds"] for each in self.swaps), default=0)
            ),
            "share of a core": round(self.cpu_seconds / self.seconds, 3),
            "counted by the edge": self.handshakes_counted,
        }

    def faults(self) -> list[str]:
        """Return what should not have been, in sentences."""
        seen, wanted = self.seen, self.swaps_wanted
        faults = [*seen["faults"]]
        for count, what in (
            (seen["failed_handshakes"], "handshakes failed"),
            (seen["failed_requests"], "requests failed"),
            (seen["lost_connections"], "connections were lost"),
        ):
            if count:
                faults.append(f"{count} {what}")
        if self.swaps_counted != wanted:
            faults.append(f"{self.swaps_counted} swaps were counted, not {wanted}")
        if len(seen["shown"]) != wanted + 1:
            faults.append(f"{len(seen['shown'])} certificates were shown, not {wanted + 1}")
        if set(self.handshakes_counted) != {"completed"}:
            faults.append(f"the edge counted {self.handshakes_counted}")
        said = [json.loads(line) for line in self.said.splitlines() if line.startswith("{")]
        return faults + [each["message"] for each in said if each["level"] != "info"]


async def rotate(
    folder: Path, *, seconds: float, handshake_rate: float, request_rate: float, swaps: int
) -> Outcome:
    """Replace the certificate so many times, evenly over so many seconds of load."""
    root = LocalCa(folder / "ca")
    ca = root.intermediate()
    live = folder / "certs" / NAME
    metrics_port = free_port()
    answers = OcspAnswers(ca, ca.ocsp_signer())
    async with OcspResponder(answers) as responder, scripted_origin(root) as origin:
        leaves = [
            ca.issue(NAME, key="rsa" if number % 2 else "ecdsa", ocsp_url=responder.url)
            for number in range(swaps + 1)
        ]
        place = Place(folder, root, ca.issue(NAME, directory=live, ocsp_url=responder.url))
        origin.on("GET", PATH).reply(200, bytes(BODY_BYTES))
        config = folder / "edge.toml"
        listen = f'metrics = "127.0.0.1:{metrics_port}"'
        text = place.text(origin.url, rules=ENTRY, listen=listen)
        config.write_text(text.replace('"warning"', '"info"'))
        async with (
            served(config) as edge,
            crowd(_CROWD, edge.port, root.path, handshake_rate, request_rate) as clients,
        ):
            began, cpu = time.perf_counter(), cpu_seconds(edge.pid)
            done = await _replace(
                Renewals(live, edge.hang_up), leaves[1:], metrics_port, began, seconds
            )
            await asyncio.sleep(max(0.0, began + seconds - time.perf_counter()))
            taken, cpu = time.perf_counter() - began, cpu_seconds(edge.pid) - cpu
            seen = await goodbye(clients)
            numbers = await _scrape(metrics_port)
            edge.terminate()
            await edge.ended()
    return Outcome(
        seconds=taken,
        cpu_seconds=cpu,
        seen=seen,
        swaps=done,
        swaps_wanted=swaps,
        swaps_counted=_swaps(numbers),
        handshakes_counted=_outcomes(numbers),
        said=edge.said,
    )


async def _replace(renewals, leaves, metrics_port, began, seconds) -> list[dict[str, Any]]:
    """Replace one after the other, each when the one before is live and its time has come."""
    done = []
    for number, leaf in enumerate(leaves, 1):
        planned = began + seconds * number / (len(leaves) + 1)
        await asyncio.sleep(max(0.0, planned - time.perf_counter()))
        how = await renewals.renew(leaf)
        written = time.perf_counter()
        async with asyncio.timeout(_SWAP_SECONDS):
            while _swaps(await _scrape(metrics_port)) < number:  # noqa: ASYNC110 - of a process
                await asyncio.sleep(_POLL_SECONDS)
        waited = (time.perf_counter() - written) * 1000
        done.append({"how": how, "milliseconds": round(waited)})
    return done


async def _scrape(port: int) -> str:
    """Return the metrics; a client that shares its core with others takes no parser for this."""
    return (await ask(port, _METRICS)).decode()


def _swaps(metrics: str) -> int:
    return sum(int(float(value)) for value in _SWAPS.findall(metrics))


def _outcomes(metrics: str) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for outcome, value in _HANDSHAKES.findall(metrics):
        counts[outcome] += int(float(value))
    return dict(+counts)
