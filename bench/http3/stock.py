"""The yardstick: aioquic's own server and HTTP/3, answering `/…/SIZE.js` with SIZE octets.

python -m bench.http3.stock PORT CHAIN KEY

Nothing of ours is in it, and no cache: what it costs is QUIC, HTTP/3 and asyncio alone. Only the
number of streams that a client may open at once is raised, to what the edge is configured to.
"""

import asyncio
import functools
import random
import re
import sys

from aioquic.asyncio.protocol import QuicConnectionProtocol
from aioquic.asyncio.server import serve
from aioquic.h3.connection import H3_ALPN, H3Connection
from aioquic.h3.events import HeadersReceived
from aioquic.quic.configuration import QuicConfiguration
from aioquic.quic.events import ProtocolNegotiated, QuicEvent

from bench.http3.load import STREAMS_MAX

_SIZE = re.compile(rb"/([0-9]{1,8})\.js$")


@functools.cache
def _body(path: bytes) -> bytes:
    match = _SIZE.search(path)
    return random.Random(0).randbytes(int(match[1])) if match else b""


class Protocol(QuicConnectionProtocol):
    """One connection; every request is answered at once."""

    _http: H3Connection | None = None

    def quic_event_received(self, event: QuicEvent) -> None:
        """See aioquic."""
        if isinstance(event, ProtocolNegotiated):
            self._http = H3Connection(self._quic)
        if self._http is None:
            return
        for each in self._http.handle_event(event):
            if isinstance(each, HeadersReceived):
                self._answer(self._http, each)

    def _answer(self, http: H3Connection, asked: HeadersReceived) -> None:
        body = _body(dict(asked.headers)[b":path"])
        fields = [
            (b":status", b"200" if body else b"404"),
            (b"content-length", b"%d" % len(body)),
            (b"content-type", b"text/javascript"),
        ]
        http.send_headers(asked.stream_id, fields)
        http.send_data(asked.stream_id, body, end_stream=True)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See aioquic."""
        super().connection_made(transport)
        limit = self._quic._local_max_streams_bidi  # noqa: SLF001 - there is no public way
        limit.value = limit.sent = STREAMS_MAX


async def main(port: int, chain: str, key: str) -> None:
    """Serve until ended; the TCP port only says that it does."""
    configuration = QuicConfiguration(is_client=False, alpn_protocols=H3_ALPN)
    configuration.load_cert_chain(chain, key)
    await serve("127.0.0.1", port, configuration=configuration, create_protocol=Protocol)
    await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", port)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
