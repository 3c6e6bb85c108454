"""The origin of the memory runs: as many distinct objects as are asked for, with next to no work.

python -m bench.memory.origin PORT CERTIFICATE KEY

`/…/N-SIZE.js` is object N, SIZE octets of it; a path with `/text/` compresses, any other does not.
`/count` is how many objects were asked for until then.
"""

import asyncio
import random
import re
import ssl
import sys
from email.utils import formatdate

from bench.compare.origin import text

Field = tuple[bytes, bytes]

_TARGET = re.compile(rb"GET (/\S*?/([0-9]{1,9})-([0-9]{1,8})\.js) HTTP/1\.1\r\n")
_REQUEST_BYTES_MAX = 65_536
_STOCK = random.Random(1).randbytes(1 << 20) * 2
_TEXT = text(1 << 16) * 32


def fields_of(number: int, size: int) -> tuple[Field, ...]:
    """Return the fields of an object: ten, of which four are like no other object's."""
    return (
        (b"date", formatdate(usegmt=True).encode()),
        (b"server", b"nginx/1.24.0"),
        (b"content-type", b"text/javascript; charset=utf-8"),
        (b"content-length", b"%d" % size),
        (b"cache-control", b"public, max-age=31536000"),
        (b"etag", b'"%08x-%x"' % (number * 2_654_435_761 % 2**32, size)),
        (b"last-modified", formatdate(1_700_000_000 + number * 61, usegmt=True).encode()),
        (b"access-control-allow-origin", b"*"),
        (b"x-content-type-options", b"nosniff"),
        (b"x-request-id", b"%032x" % (number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)),
    )


def octets(number: int, size: int) -> int:
    """Return how many octets the fields of an object have, names and values."""
    return sum(len(name) + len(value) for name, value in fields_of(number, size))


class Origin(asyncio.Protocol):
    """One connection."""

    count = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.heard = b""

    def data_received(self, data: bytes) -> None:
        """Answer each request that is there whole."""
        self.heard += data
        while (end := self.heard.find(b"\r\n\r\n")) >= 0:
            head, self.heard = self.heard[:end], self.heard[end + 4 :]
            self.transport.write(self._answer(head + b"\r\n"))
        if len(self.heard) > _REQUEST_BYTES_MAX:
            self.transport.close()

    def _answer(self, head: bytes) -> bytes:
        if head.startswith(b"GET /count "):
            body = b"%d" % Origin.count
            return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        found = _TARGET.match(head)
        if found is None:
            return b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
        Origin.count += 1
        number, size = int(found[2]), int(found[3])
        stock = _TEXT if b"/text/" in found[1] else _STOCK
        start = number * 7919 % (1 << 20)
        lines = b"".join(b"%s: %s\r\n" % line for line in fields_of(number, size))
        body = (stock[start : start + size] * (1 + size // (1 << 20)))[:size]
        return b"HTTP/1.1 200 OK\r\n" + lines + b"\r\n" + body


async def main(port: int, certificate: str, key: str) -> None:
    """Serve until ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Origin, "127.0.0.1", port, ssl=context, backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
