"""`edgeproxy serve` and `check` as an operator runs them: processes of their own, ended by signals.

`async with served(path) as edge` runs one; after `edge.terminate()`, `await edge.ended()` is its
exit code. In a test it comes from the `nursery`, which spares it the imports, unless a `prefix` or
another `program` has to be executed.
"""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support import nursery

PATIENCE_SECONDS = 60


PROGRAM = "edgeproxy"
IMPATIENT = "tests.support.impatient"


def command(*arguments: object, program: str = PROGRAM) -> list[str]:
    return [sys.executable, "-m", program, *map(str, arguments)]


class Served:
    """A running process; `said` is what it has written to standard error."""

    def __init__(self, process: asyncio.subprocess.Process | nursery.Forked) -> None:
        self._process = process
        self.said = ""
        self.port = 0

    async def started(self) -> None:
        found = await self.says(r"listening on https://127\.0\.0\.1:(\d+)")
        self.port = int(found[1])

    async def says(self, pattern: str) -> re.Match[str]:
        """Wait for a line in which that is found."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while line := await self._process.stderr.readline():
                self.said += line.decode()
                if found := re.search(pattern, line.decode()):
                    return found
        raise AssertionError(f"it never said {pattern!r}:\n{self.said}")

    async def has_said(self, pattern: str) -> re.Match[str]:
        """Wait for a line that may have come already."""
        return re.search(pattern, self.said) or await self.says(pattern)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def resident_bytes(self) -> int:
        """How much memory it holds with its children, pages that they share counted for each."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        total = 0
        for each in (pid, *children):
            status = Path(f"/proc/{each}/status").read_text(encoding="ascii")
            total += int(re.search(r"VmRSS:\s+(\d+) kB", status)[1]) * 1024
        return total

    async def metrics_port(self) -> int:
        """Wait until it says where its metrics are; after `started`."""
        return int((await self.says(r"http://127\.0\.0\.1:(\d+) \(metrics\)"))[1])

    def hang_up(self) -> None:
        """Tell it to look for new certificates."""
        self._process.send_signal(signal.SIGHUP)

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    async def attend(self) -> None:
        """Read what it says until it ends: nobody may wait for a line meanwhile, or `ended`."""
        while line := await self._process.stderr.readline():
            self.said += line.decode()

    async def left(self) -> int:
        """Wait for the end of one that is attended; return the exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self._process.wait()

    async def ended(self) -> int:
        """Wait for the end; return the exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            self.said += (await self._process.stderr.read()).decode()
            return await self._process.wait()

    def kill(self) -> None:
        if self._process.returncode is None:
            self._process.kill()

    async def gone(self) -> None:
        """Kill it, and wait until none of its processes can say anything any more."""
        self.kill()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._process.wait()
            await self._process.stderr.read()


def _may_be_forked() -> bool:
    return "PYTEST_CURRENT_TEST" in os.environ


async def run(*arguments: object) -> tuple[int, str, str]:
    """Run a command to its end; return exit code, standard output and standard error."""
    if _may_be_forked():
        process = await nursery.start([*map(str, arguments)], keeps_stdout=True)
    else:
        process = await asyncio.create_subprocess_exec(
            *command(*arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
    async with asyncio.timeout(PATIENCE_SECONDS):
        out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


@asynccontextmanager
async def starting(
    config: Path, prefix: Sequence[str] = (), arguments: Sequence[str] = (), program: str = PROGRAM
):
    """Begin to run `edgeproxy serve`; its access log goes nowhere."""
    if program == PROGRAM and not prefix and _may_be_forked():
        process = await nursery.start(["serve", "-c", str(config), *arguments])
    else:
        process = await asyncio.create_subprocess_exec(
            *prefix,
            *command("serve", "-c", config, *arguments, program=program),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
    edge = Served(process)
    try:
        yield edge
    finally:
        await edge.gone()


@asynccontextmanager
async def served(config: Path, prefix: Sequence[str] = (), **how):
    """Run `edgeproxy serve` until it listens; `prefix` is a command that runs it."""
    async with starting(config, prefix, **how) as edge:
        await edge.started()
        yield edge


@asynccontextmanager
async def attended(config: Path, prefix: Sequence[str] = (), **how):
    """Run `edgeproxy serve` for long: what it says is read all the time; it ends by `left`."""
    async with served(config, prefix, **how) as edge:
        reading = asyncio.get_running_loop().create_task(edge.attend())
        try:
            yield edge
        finally:
            edge.kill()
            await reading
