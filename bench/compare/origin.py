"""The origin behind both caches: `/anything/SIZE.js` is SIZE bytes, with validators, over HTTPS.

python -m bench.compare.origin PORT CERTIFICATE KEY
"""

import asyncio
import random
import re
import ssl
import sys

from aiohttp import web

_SIZE = re.compile(r"/([0-9]{1,8})(?:\.js)?$")


def noise(size: int) -> bytes:
    """Return bytes that no coding makes smaller."""
    return random.Random(size).randbytes(size)


def text(size: int) -> bytes:
    """Return something like a script, which a coding makes about a quarter of."""
    source = random.Random(size)
    words = ["".join(source.choices("abcdefghijklmnopqrstuvwxyz", k=5)) for _ in range(400)]
    lines = []
    length = 0
    while length < size:
        one, two, three = source.choices(words, k=3)
        lines.append(f"function {one}({two}) {{ return {three}.{two}({source.random():.6f}); }}\n")
        length += len(lines[-1])
    return "".join(lines).encode()[:size]


async def answer(request: web.Request) -> web.Response:
    """Answer with the number of bytes that the path names, the same ones every time."""
    match = _SIZE.search(request.path)
    if match is None:
        return web.Response(status=404)
    size = int(match[1])
    make = text if "/text/" in request.path else noise
    return web.Response(
        body=make(size),
        headers={
            "Content-Type": "text/javascript",
            "Cache-Control": "public, max-age=31536000",
            "ETag": f'"bench-{size}"',
            "Last-Modified": "Mon, 01 Jun 2026 08:00:00 GMT",
        },
    )


async def main(port: int, certificate: str, key: str) -> None:
    """Serve until ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, ssl_context=context).start()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
