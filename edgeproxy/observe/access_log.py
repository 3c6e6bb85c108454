"""One line per answered request, rendered in batches and away from the event loop.

Recording appends a tuple; a timer hands the batch to one writer thread at most a quarter of a
second later, so that neither rendering nor a slow disk or pipe is on the way of a request. Must not
wait for the writer: while it is busy the buffer fills, and beyond its bound lines are dropped and
counted; at the end it gets some seconds and no more. Client addresses are truncated as the settings
say (GDPR asks for no more than needed).
"""

import asyncio
import functools
import ipaddress
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from edgeproxy.observe.counters import Counters
from edgeproxy.observe.writer import Writer

_log = logging.getLogger(__name__)


class Line(NamedTuple):
    """What one line tells; bytes as received, not yet made printable."""

    time: float
    client: str
    method: bytes
    host: bytes
    target: bytes
    protocol: str
    status: int
    body_bytes: int
    is_whole: bool
    milliseconds: float
    outcome: str
    site: str
    rule: str


@dataclass(frozen=True, slots=True)
class AccessLogSettings:
    """How lines look and how many may wait."""

    style: Literal["json", "console"] = "json"
    # /24 and /48 are what the data protection authorities' guidance calls truncated.
    client_prefix_ipv4: int = 24
    client_prefix_ipv6: int = 48
    flush_seconds: float = 0.25
    # At 20,000 requests a second three flushes' worth; nginx has no such bound, it blocks.
    lines_max: int = 16_384
    # How long the last lines may take: a reader that hangs must not keep the process from ending.
    close_seconds: float = 2.0


class AccessLog:
    """Collects lines and writes them in order through `sink`, which may block."""

    def __init__(
        self, sink: Callable[[str], object], settings: AccessLogSettings, *, counters: Counters
    ) -> None:
        self._sink = sink
        self._settings = settings
        self._counters = counters
        self._render = _RENDERERS[settings.style]
        self._lines: list[Line] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writer = Writer("access-log")
        self._writing: asyncio.Future[None] | None = None
        self._writing_lines = 0

    def adopt(self, settings: AccessLogSettings) -> None:
        """Render by these settings what is written from now on."""
        self._settings = settings
        self._render = _RENDERERS[settings.style]

    def record(self, line: Line) -> None:
        """Take one line; drops it when too many wait already."""
        if len(self._lines) >= self._settings.lines_max:
            self._counters.access_log_lines_dropped += 1
            return
        self._lines.append(line)
        if self._timer is None and self._writing is None:
            self._arm()

    def _arm(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(self._settings.flush_seconds, self._flush)

    def _flush(self) -> None:
        self._timer = None
        lines, self._lines = self._lines, []
        self._writing_lines = len(lines)
        self._writing = self._writer.submit(functools.partial(self._write, lines))
        self._writing.add_done_callback(self._written)

    def _written(self, writing: "asyncio.Future[None]") -> None:
        self._writing = None
        # A sink that fails costs its lines, never a request.
        if writing.cancelled() or writing.exception() is not None:
            self._counters.access_log_lines_dropped += self._writing_lines
        if self._lines and self._timer is None:
            self._arm()

    def _write(self, lines: list[Line]) -> None:
        render, settings = self._render, self._settings
        self._sink("".join([render(line, settings) for line in lines]))

    async def aclose(self) -> None:
        """Write what waits, as far as the sink takes it in time; then stop the writer."""
        try:
            async with asyncio.timeout(self._settings.close_seconds):
                await self._write_all()
        except TimeoutError:
            unwritten = len(self._lines) + self._writing_lines
            self._counters.access_log_lines_dropped += unwritten
            _log.warning("nobody takes the access log: %d lines are lost", unwritten)
        self._writer.close()

    async def _write_all(self) -> None:
        while self._writing is not None or self._timer is not None:
            if self._timer is not None:
                self._timer.cancel()
                self._flush()
            if self._writing is not None:
                await asyncio.wait([self._writing])


@functools.lru_cache(maxsize=4096)
def truncated(client: str, prefix_ipv4: int, prefix_ipv6: int) -> str:
    """Return the network of an address, as an address: `192.0.2.0` for `192.0.2.77`."""
    try:
        address = ipaddress.ip_address(client.partition("%")[0])
    except ValueError:
        return "-"
    prefix = prefix_ipv4 if address.version == 4 else prefix_ipv6
    return str(ipaddress.ip_network((address, prefix), strict=False).network_address)


def _as_json(line: Line, settings: AccessLogSettings) -> str:
    moment = datetime.fromtimestamp(line.time, UTC).isoformat(timespec="milliseconds")
    return (
        json.dumps(
            {
                "time": moment,
                "client": truncated(
                    line.client, settings.client_prefix_ipv4, settings.client_prefix_ipv6
                ),
                "method": line.method.decode("latin-1"),
                "host": line.host.decode("latin-1"),
                "path": line.target.decode("latin-1"),
                "protocol": line.protocol,
                "status": line.status,
                "bytes": line.body_bytes,
                "whole": line.is_whole,
                "ms": round(line.milliseconds, 3),
                "cache": line.outcome,
                "site": line.site,
                "rule": line.rule,
            }
        )
        + "\n"
    )


def _printable(octets: bytes) -> str:
    # Escapes would otherwise reach a terminal: a request must not move somebody's cursor.
    return octets.decode("latin-1").encode("unicode_escape").decode("ascii")


def _as_console(line: Line, _settings: AccessLogSettings) -> str:
    moment = datetime.fromtimestamp(line.time, UTC).strftime("%H:%M:%S")
    broken = "" if line.is_whole else "  (cut short)"
    url = _printable(line.host) + _printable(line.target)
    return (
        f"{moment}  {line.outcome:<15} {line.status} {_printable(line.method):<7} {url}  "
        f"{line.body_bytes} B  {line.milliseconds:.1f} ms  {line.protocol}{broken}\n"
    )


_RENDERERS: dict[str, Callable[[Line, AccessLogSettings], str]] = {
    "json": _as_json,
    "console": _as_console,
}
