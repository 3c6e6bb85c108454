"""The origin of the long runs, in a process of its own; see `content`.

python -m tests.support.runs.origin CERTIFICATE KEY SECONDS

Says its port. A version lasts so many seconds. Answers each line on standard input with what it was
asked so far, as JSON, and ends with the input.
"""

import asyncio
import json
import ssl
import sys
import time
from collections import Counter
from contextlib import asynccontextmanager

from aiohttp import web

from tests.support.ca import Leaf
from tests.support.runs.content import Thing

_PIECE_BYTES = 65536
_PIECE_SECONDS = 0.25


class Origin:
    """Answers, and counts what it is asked by path's first word and method."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.asked: Counter[str] = Counter()

    async def answer(self, request: web.Request) -> web.StreamResponse:
        thing = Thing.at(request.path)
        if thing is None:
            return web.Response(status=404)
        self.asked[f"{request.method} {thing.kind}"] += 1
        if request.method == "POST":
            return web.Response(status=204)
        if thing.kind == "slow":
            return await self._slowly(request, thing)
        version = 0 if thing.kind == "fixed" else self._version_of(thing)
        tag = thing.tag(version)
        lifetime = "max-age=31536000" if thing.kind == "fixed" else "max-age=2"
        fields = {"ETag": tag, "Cache-Control": f"public, {lifetime}"}
        if request.headers.get("If-None-Match", "").removeprefix("W/") == tag:
            self.asked["not modified"] += 1
            return web.Response(status=304, headers=fields)
        return web.Response(body=thing.body(version), headers=fields)

    def _version_of(self, thing: Thing) -> int:
        """They do not all change at the same moment."""
        return int(time.monotonic() / self._seconds + thing.number * 0.618)

    async def _slowly(self, request: web.Request, thing: Thing) -> web.StreamResponse:
        fields = {"ETag": thing.tag(0), "Cache-Control": "no-store"}
        response = web.StreamResponse(headers=fields)
        response.content_length = thing.size
        await response.prepare(request)
        body = thing.body(0)
        for start in range(0, len(body), _PIECE_BYTES):
            await response.write(body[start : start + _PIECE_BYTES])
            await asyncio.sleep(_PIECE_SECONDS)
        return response


async def main(chain: str, key: str, seconds: float) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    origin = Origin(seconds)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", origin.answer)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    print(runner.addresses[0][1], flush=True)
    while await asyncio.to_thread(sys.stdin.readline):
        print(json.dumps(origin.asked), flush=True)
    await runner.cleanup()


class RunningOrigin:
    """The process, seen from outside."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self.url = f"https://127.0.0.1:{port}"

    async def asked(self) -> Counter[str]:
        """Return how often it was asked for what."""
        self._process.stdin.write(b"\n")
        return Counter(json.loads(await self._process.stdout.readline()))


@asynccontextmanager
async def running_origin(leaf: Leaf, *, version_seconds: float = 10.0):
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.runs.origin"),
        *(str(leaf.chain_path), str(leaf.key_path), str(version_seconds)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        yield RunningOrigin(process, int(await process.stdout.readline()))
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], float(sys.argv[3])))
