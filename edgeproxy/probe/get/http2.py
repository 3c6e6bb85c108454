"""The request over HTTP/2 (RFC 9113), by the h2 library."""

from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    InformationalResponseReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.exceptions import ProtocolError

from edgeproxy.probe.get.answer import Answer, Asked, BrokenError
from edgeproxy.probe.stream import TlsStream

_STREAM: Final = 1
_GOAWAY: Final = 7
_FRAME_MAX: Final = 9 + 16384  # what we have not announced to be larger (section 4.2)
# Enough for any path, without a WINDOW_UPDATE for each record.
_WINDOW: Final = 16 * 1024 * 1024


async def ask(stream: TlsStream, asked: Asked, answer: Answer) -> None:
    """Send the request and take the response; says goodbye in the end.

    Raises:
        BrokenError: the server broke the protocol, refused the stream or cut it.
        EOFError: the server went in the middle of it.
    """
    connection = H2Connection(H2Configuration(client_side=True, header_encoding=None))
    connection.initiate_connection()
    connection.increment_flow_control_window(_WINDOW)
    connection.send_headers(_STREAM, _section(asked), end_stream=True)
    connection.increment_flow_control_window(_WINDOW, _STREAM)
    trailers: list[tuple[bytes, bytes]] = []
    farewells = _Farewells()
    await stream.send(connection.data_to_send())
    while not answer.is_whole:
        data = await stream.receive()
        if not data:
            raise EOFError("the server closed the connection")
        try:
            for event in connection.receive_data(farewells.without(data)):
                _take(connection, event, answer, trailers)
        except ProtocolError as error:
            raise BrokenError(f"no HTTP/2: {error}") from error
        await stream.send(connection.data_to_send())
    connection.close_connection()
    await stream.send(connection.data_to_send())


def _section(asked: Asked) -> list[tuple[str, str]]:
    return [
        (":method", asked.method),
        (":scheme", "https"),
        (":authority", asked.url.authority),
        (":path", asked.url.target),
        *((name.lower(), value) for name, value in asked.fields),
    ]


def _take(
    connection: H2Connection, event: Event, answer: Answer, trailers: list[tuple[bytes, bytes]]
) -> None:
    match event:
        case ResponseReceived() | InformationalResponseReceived():
            fields = [(bytes(name), bytes(value)) for name, value in event.headers or ()]
            status = int(next(value for name, value in fields if name == b":status"))
            answer.head(status, [line for line in fields if not line[0].startswith(b":")])
        case DataReceived():
            answer.content(event.data or b"")
            connection.acknowledge_received_data(event.flow_controlled_length or 0, _STREAM)
        case TrailersReceived():
            trailers += [(bytes(name), bytes(value)) for name, value in event.headers or ()]
        case StreamEnded():
            answer.end(trailers)
        case StreamReset():
            raise BrokenError(f"the server reset the stream: {_name(event.error_code)}")
        case ConnectionTerminated():
            raise BrokenError(f"the server goes away: {_name(event.error_code)}")


class _Farewells:
    """Takes those GOAWAY frames out that let this stream finish (RFC 9113 section 6.8).

    The library reads nothing behind any, and an edge that drains sends one in mid-response.
    """

    def __init__(self) -> None:
        self._held = b""

    def without(self, data: bytes) -> bytes:
        """Return the whole frames that have come, less those."""
        data, at, kept = self._held + data, 0, []
        while at + 9 <= len(data):
            end = at + 9 + int.from_bytes(data[at : at + 3], "big")
            if end > len(data):
                break
            if not _lets_finish(data[at:end]):
                kept.append(data[at:end])
            at = end
        self._held = data[at:]
        if len(self._held) > _FRAME_MAX:
            raise BrokenError("no HTTP/2: a frame of more than 16 KiB")
        return b"".join(kept)


def _lets_finish(frame: bytes) -> bool:
    last, code = frame[9:13], frame[13:17]
    return (
        frame[3] == _GOAWAY
        and len(frame) >= 17
        and int.from_bytes(last, "big") >= _STREAM
        and int.from_bytes(code, "big") == ErrorCodes.NO_ERROR
    )


def _name(code: int | None) -> str:
    try:
        return ErrorCodes(code or 0).name
    except ValueError:
        return f"error {code}"
