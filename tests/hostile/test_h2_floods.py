"""Frames that are cheap to send and cost us work: each ends within its budget, honest ones never.

The rows of `requirements/hostile-input.md`, against `Connection` with a clock that stands still
where nothing else is said; what needs time to pass stands in `test_h2_slow_peers.py`.
"""

import sys
import tracemalloc
from collections.abc import Callable, Iterator

import hyperframe.frame as oracle
import pytest

from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.frames import frame
from edgeproxy.wire.limits import Limits
from tests.support.h2_peer import REQUEST, Peer, data_frame, ping, priority_update

CALM = codes.ENHANCE_YOUR_CALM
BURST = 100


def survived(peer: Peer, parts: Iterator[bytes] | Callable[[int], bytes], most: int) -> int:
    """Send part after part; return how many were taken before the connection ended."""
    for count in range(most):
        peer.send(parts(count) if callable(parts) else next(parts))
        if peer.connection.is_failed:
            return count
        peer.connection.sender.out.clear()
    return most


def stream_ids() -> Iterator[int]:
    return iter(range(1, 2**31, 2))


# --- resets -------------------------------------------------------------------------------------


def test_rapid_reset():
    peer, ids = Peer(), stream_ids()

    def reset(_count: int) -> bytes:
        number = next(ids)
        return peer.headers(number) + frames.rst_stream_frame(number, codes.CANCEL)

    assert survived(peer, reset, 1000) == BURST
    assert peer.goaway == CALM
    assert not peer.connection.streams


def test_rapid_reset_at_a_steady_rate_gets_its_rate_and_no_more():
    peer, ids = Peer(), stream_ids()

    def reset(_count: int) -> bytes:
        peer.now += 0.01
        number = next(ids)
        return peer.headers(number) + frames.rst_stream_frame(number, codes.CANCEL)

    assert survived(peer, reset, 1000) == pytest.approx(BURST / (1 - 0.2), abs=2)
    assert peer.goaway == CALM


@pytest.mark.parametrize(
    "provoke",
    [
        lambda n: frames.window_update_frame(n, 0),
        lambda n: frames.window_update_frame(n, 2**31 - 1),
        lambda n: frame(frames.PRIORITY, 0, n, b"123"),
        lambda n: data_frame(n, b"after the end"),
        lambda n: frame(frames.HEADERS, 5, n, b""),
    ],
    ids=["window 0", "window overflow", "priority", "data", "headers"],
)
def test_made_to_reset(provoke: Callable[[int], bytes]):
    peer, ids = Peer(), stream_ids()

    def once(_count: int) -> bytes:
        number = next(ids)
        return peer.headers(number) + provoke(number)

    assert survived(peer, once, 1000) == BURST
    assert peer.goaway == CALM


def test_malformed_requests():
    peer, ids = Peer(), stream_ids()
    assert survived(peer, lambda _: peer.headers(next(ids), [(b"a", b"b")]), 1000) == BURST
    assert peer.goaway == CALM
    assert peer.sink.heads == {}


def test_too_many_streams():
    peer, ids = Peer(), stream_ids()
    assert survived(peer, lambda _: peer.headers(next(ids)), 1000) == 100 + BURST
    assert peer.goaway == CALM
    assert len(peer.sink.heads) == 100


def test_settings_that_say_the_same_again_and_again():
    pairs = [(frames.SETTINGS_INITIAL_WINDOW_SIZE, 65535 - (n & 1)) for n in range(32)]
    peer = Peer().get(1, 3)
    assert survived(peer, lambda _: frames.settings_frame(pairs), 1000) == (BURST - 2) // 32
    assert peer.goaway == CALM


@pytest.mark.parametrize("size", [1, 63])
def test_data_of_a_few_octets(size: int):
    peer = Peer(Limits(small_data_frames_burst=500)).upload(1)
    assert survived(peer, lambda _: data_frame(1, bytes(size)), 1000) == 500
    assert peer.goaway == CALM


def test_a_slow_upload_in_small_pieces_may_take_its_time():
    limits = Limits(small_data_frames_burst=500, small_data_frames_per_second=100)
    peer = Peer(limits).upload(1)
    for _ in range(20):
        peer.send(*[data_frame(1, b"x")] * 100)
        peer.now += 1.0
    peer.send(data_frame(1, b"", end=True))
    assert (peer.goaway, len(peer.sink.content[1])) == (None, 2000)


def test_data_on_closed_streams():
    peer = Peer(answers=b"x")
    peer.get(*range(1, 801, 2))

    def late(count: int) -> bytes:
        return data_frame(1 + 2 * count, b"x")

    assert survived(peer, late, 400) == BURST
    assert peer.goaway == CALM


# --- control frames -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flood", "spent"),
    [
        (lambda _: ping(), 2),
        (lambda _: ping(flags=frames.ACK), 2),
        (lambda _: frames.settings_frame([]), 2),
        (lambda _: frames.settings_frame([(0x1000 + n, n) for n in range(32)]), 2),
        (lambda _: frames.SETTINGS_ACK_FRAME, 2),
        (lambda _: frame(frames.PRIORITY, 0, 1, bytes(5)), 2),
        (lambda n: priority_update(2 * n + 1, b"u=1"), 2),
        (lambda _: frame(0xEE, 0, 0, bytes(16384)), 2),
        (lambda _: frame(0xEE, 0, 0), 2),
        (lambda _: frames.goaway_frame(0, 0), 2),
    ],
    ids=[
        "ping",
        "pong",
        "settings",
        "large settings",
        "acknowledgements",
        "priority",
        "priority update",
        "unknown",
        "empty unknown",
        "goaway",
    ],
)
def test_control_frames(flood: Callable[[int], bytes], spent: int):
    peer = Peer()  # its greeting has spent two: SETTINGS and the acknowledgement of ours
    assert survived(peer, flood, 5000) == BURST - spent
    assert peer.goaway == CALM


def test_control_frames_at_their_sustained_rate_are_fine():
    peer = Peer()

    def each(_count: int) -> bytes:
        peer.now += 0.1
        return ping()

    assert survived(peer, each, 3000) == 3000


def test_resets_of_closed_streams():
    peer = Peer(answers=b"x").get(1)
    assert survived(peer, lambda _: frames.rst_stream_frame(1, 8), 5000) == 10 * BURST + 4
    assert peer.goaway == CALM


def test_headers_on_a_stream_that_was_reset():
    peer = Peer().upload(1).send(frames.rst_stream_frame(1, 8))
    assert survived(peer, lambda _: peer.headers(1), 1000) == BURST - 2 + 4
    assert peer.goaway == CALM


@pytest.mark.parametrize("stream_id", [0, 1])
def test_window_updates_of_one_byte(stream_id: int):
    peer = Peer().upload(1)
    flood = frames.window_update_frame(stream_id, 1)
    assert survived(peer, lambda _: flood, 100_000) <= 10 * BURST + 4
    assert peer.goaway == CALM


def test_too_many_settings_in_a_frame():
    peer = Peer().send(frames.settings_frame([(0x77, 1)] * 33))
    assert peer.goaway == CALM


# --- empty frames -------------------------------------------------------------------------------


@pytest.mark.parametrize("padding", [None, 0, 255])
def test_empty_data(padding: int | None):
    peer = Peer().upload(1)
    assert survived(peer, lambda _: data_frame(1, padding=padding), 1000) == 10
    assert peer.goaway == CALM


def test_empty_data_on_a_stream_that_was_reset():
    peer = Peer().upload(1).send(frames.rst_stream_frame(1, 8))
    assert survived(peer, lambda _: data_frame(1), 1000) == 10
    assert peer.goaway == CALM


def test_empty_continuations():
    peer = Peer()
    peer.send(frame(frames.HEADERS, 0, 1, b"\x82"))
    assert survived(peer, lambda _: frame(frames.CONTINUATION, 0, 1), 1000) <= 10
    assert peer.goaway == CALM


# --- field blocks -------------------------------------------------------------------------------


def test_continuations_without_end():
    peer = Peer()
    peer.send(frame(frames.HEADERS, 0, 1, b"\x82"))
    assert survived(peer, lambda _: frame(frames.CONTINUATION, 0, 1, b"\x84"), 1000) == 8
    assert peer.goaway == CALM


def test_large_continuations():
    peer = Peer()
    peer.send(frame(frames.HEADERS, 0, 1, bytes(16384)))
    assert survived(peer, lambda _: frame(frames.CONTINUATION, 0, 1, bytes(16384)), 1000) == 1
    assert peer.goaway == CALM


def bomb(references: int) -> list[bytes]:
    """One large entry, and a block that names it again and again: 4 KB become megabytes."""
    large = b"\x40\x01a" + b"\x7f\xe1\x1d" + b"x" * 3936
    return [
        frame(frames.HEADERS, 5, 1, large),
        frame(frames.HEADERS, 5, 3, b"\xbe" * references),
    ]


def test_a_compression_bomb_ends_the_connection_before_it_unfolds():
    peer = Peer()
    tracemalloc.start()
    try:
        peer.send(*bomb(16000))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peer.goaway == CALM
    assert peak < 2**20


@pytest.mark.parametrize(
    "fields",
    [
        [(b"a", b"")] * 129,
        [(b"x" * 1000, b"y" * 1000)] * 9,
        [(b"cookie", b"a=b")] * 200,
    ],
    ids=["many", "large", "crumbs"],
)
def test_sections_over_the_limits_get_431_and_not_a_byte_is_kept(fields):
    peer = Peer().send()
    peer.send(peer.headers(1, (*REQUEST, *fields)))
    assert peer.sink.too_large == [(1, 431)]
    assert peer.sink.heads == {}
    assert peer.goaway is None


def test_sections_over_the_limits_again_and_again():
    peer, ids = Peer(), stream_ids()
    large = frame(frames.HEADERS, 5, 1, peer.block((*REQUEST, *[(b"a", b"")] * 129)))

    def oversized(_count: int) -> bytes:
        return large[:5] + next(ids).to_bytes(4, "big") + large[9:]

    assert survived(peer, oversized, 1000) == BURST
    assert peer.goaway == CALM
    assert peer.sink.heads == {}


def test_names_of_no_length():
    peer, ids = Peer(), stream_ids()

    def nameless(_count: int) -> bytes:
        block = b"\x82\x87\x84\x41\x01a" + b"\x00\x00\x00" * 100
        return frame(frames.HEADERS, 5, next(ids), block)

    assert survived(peer, nameless, 1000) == BURST
    assert peer.goaway == CALM


# --- memory -------------------------------------------------------------------------------------


def test_an_unfinished_frame_is_all_that_is_kept():
    peer = Peer()
    peer.send(b"\0\x40\0\xee\0\0\0\0\0")
    for _ in range(16383):
        peer.send(b"x")
    assert len(peer.connection._pending) == 9 + 16383
    peer.send(b"xyz")
    assert peer.connection._pending == b"yz"


def test_priorities_of_streams_to_come_are_small_and_few():
    peer = Peer()
    tracemalloc.start()
    try:
        for number in range(20_001, 21_001, 2):
            peer.now += 0.2
            peer.send(priority_update(number, b"u=1;" + b"x" * 16000))
        current, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peer.goaway is None
    assert current < 100_000


def test_answers_without_window_hold_references_and_no_copies():
    body = bytes(2**20)
    references = sys.getrefcount(body)
    peer = Peer(answers=body, settings=[(4, 0)])
    tracemalloc.start()
    try:
        peer.get(*range(1, 201, 2)).pump()
        current, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(peer.connection.streams) == 100
    assert sys.getrefcount(body) > references + 90
    assert current < 2**20
    peer.connection.drop_all()


# --- honest clients -----------------------------------------------------------------------------


def read_all(peer: Peer, stream_id: int, size: int, step: int) -> None:
    """Read an answer as a client does that grants window for every `step` bytes it has read."""
    read = 0
    while read < size:
        peer.pump()
        arrived = len(peer.body(stream_id))
        while arrived - read >= step or (arrived == size and read < size):
            taken = min(step, arrived - read)
            read += taken
            peer.send(frames.window_update_frame(0, taken))
            if arrived < size:
                peer.send(frames.window_update_frame(stream_id, taken))
        assert peer.goaway is None, peer.connection.fault


@pytest.mark.parametrize("step", [4096, 16384, 32768], ids=["go", "frame", "nghttp2"])
def test_readers_that_update_windows_are_never_punished(step: int):
    size = 2_000_000
    peer = Peer(answers=bytes(size)).get(1)
    read_all(peer, 1, size, step)
    assert len(peer.body(1)) == size


def test_a_window_of_one_byte_is_slow_and_legal():
    size = 3000
    peer = Peer(answers=bytes(size), settings=[(4, 1)]).get(1)
    for _ in range(size):
        peer.pump()
        peer.send(frames.window_update_frame(1, 1), frames.window_update_frame(0, 1))
        assert peer.goaway is None, peer.connection.fault
    assert len(peer.body(1)) == size


def test_window_updates_that_let_nothing_out_earn_nothing():
    peer = Peer(answers=bytes(10), settings=[(4, 1)]).get(1).pump()
    flood = frames.window_update_frame(0, 1)
    assert survived(peer, lambda _: flood, 100_000) <= 10 * BURST + 6
    assert peer.goaway == CALM


def test_a_go_client_reads_many_megabytes_first_and_updates_afterwards():
    size = 4 * 2**20
    peer = Peer(answers=bytes(size), settings=[(4, size)])
    peer.send(frames.window_update_frame(0, 2**30))
    peer.get(*range(1, 17, 2)).pump()
    peer.connection.sender.out.clear()
    for _ in range(8 * size // 4096):
        peer.send(frames.window_update_frame(0, 4096))
    assert not peer.connection.is_failed


def test_a_browser_reprioritises_and_cancels_a_whole_page():
    peer = Peer(answers=bytes(100_000), settings=[(1, 65536), (4, 6291456), (6, 262144)])
    peer.send(frames.window_update_frame(0, 15663105))
    ids = list(range(1, 201, 2))
    for number in ids:
        payload = b"\x80\0\0\0\xff" + peer.block((*REQUEST, (b"priority", b"u=4, i")))
        peer.send(frame(frames.HEADERS, 0x25, number, payload))
    for value in (b"u=2", b"u=3, i"):
        for number in ids:
            peer.send(priority_update(number, value), frame(frames.PRIORITY, 0, number, bytes(5)))
    assert peer.goaway is None
    for number in ids:
        peer.send(frames.rst_stream_frame(number, codes.CANCEL))
    assert peer.goaway is None
    peer.get(201).pump()
    assert len(peer.body(201)) == 100_000


def test_a_client_that_resets_again_for_every_frame_that_was_under_way():
    peer = Peer(answers=bytes(4 * 2**20), settings=[(4, 2**24)])
    peer.send(frames.window_update_frame(0, 2**24)).get(1).pump()
    peer.connection.sender.out.clear()
    for _ in range(4 * 2**20 // 16384):
        peer.send(frames.rst_stream_frame(1, codes.STREAM_CLOSED))
    assert not peer.connection.is_failed


def test_a_long_life_of_many_requests():
    peer = Peer(answers=b"x" * 100)
    peer.send(frames.window_update_frame(0, 2**20))
    block = peer.block()
    later = peer.block()
    for count in range(10_000):
        peer.now += 0.001
        number = 2 * count + 1
        peer.send(frame(frames.HEADERS, 5, number, block if not count else later))
        if count % 10 == 0:
            peer.send(frames.window_update_frame(0, 1000))
        if count % 100 == 0:
            peer.send(ping())
        peer.connection.sender.out.clear()
    assert not peer.connection.is_failed
    assert peer.connection.requests == 10_000
    assert not peer.connection.streams


def test_uploads_of_some_thousand_small_pieces_are_not_punished():
    peer = Peer().upload(1)
    for count in range(20_000):
        peer.send(data_frame(1, b"x" * (count % 5 + 1)))
        if count % 1000 == 0:
            peer.send(data_frame(1))
    peer.send(data_frame(1, end=True))
    assert peer.sink.whole == [1]
    assert len(peer.of(oracle.WindowUpdateFrame)) < 50
