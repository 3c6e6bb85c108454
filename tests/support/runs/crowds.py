"""Crowds of clients in processes of their own, which say what they saw when they are told to go."""

import asyncio
import json
import sys
from contextlib import asynccontextmanager
from typing import Any

_GOODBYE_SECONDS = 90.0


@asynccontextmanager
async def crowd(module: str, *arguments: object):
    """Run a module of clients; it is there once it has said "ready"."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, *map(str, arguments)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=2**26,
    )
    try:
        if await process.stdout.readline() != b"ready\n":
            raise RuntimeError(f"{module} does not begin")
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def tell(process: asyncio.subprocess.Process, line: str) -> None:
    process.stdin.write(f"{line}\n".encode())


async def goodbye(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Tell it that this is enough; return what it saw."""
    async with asyncio.timeout(_GOODBYE_SECONDS):
        said, _ = await process.communicate(b"enough\n")
    return json.loads(said)
