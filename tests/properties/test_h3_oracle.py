"""HTTP/3 without I/O: any script of a client arrives whole, and anything at all is bounded."""

import itertools

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeproxy.wire.h3 import frames
from edgeproxy.wire.h3.reading import FRAMES_PER_TURN
from tests.support.h3_peer import (
    CONTROL,
    DECODER,
    ENCODER,
    REQUEST,
    UPLOAD,
    Peer,
    data_frame,
    headers,
    priority_update,
)


def pattern(seed: int, size: int) -> bytes:
    return bytes((seed + at) & 0xFF for at in range(256)) * (size // 256 + 1)


# --- every octet arrives ------------------------------------------------------------------------

requests = st.lists(
    st.tuples(
        st.integers(0, 40_000),  # of content up
        st.integers(0, 120_000),  # of content down
        st.integers(1, 5),  # in so many frames
        st.sampled_from([None, b"u=0", b"u=7", b"i", b"u=1, i"]),
    ),
    min_size=1,
    max_size=8,
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("room"), st.integers(0, 7), st.integers(1, 60_000)),
        st.tuples(st.just("move"), st.integers(0, 7), st.integers(0, 7)),
        st.tuples(st.just("total"), st.integers(1, 200_000), st.just(0)),
    ),
    max_size=40,
)


class Exchange:
    """A peer with plans: what goes up and comes down on each stream."""

    def __init__(self, plans) -> None:
        self.peer = Peer()
        self.peer.transport.total = 0
        self.plans = {4 * number: plan for number, plan in enumerate(plans)}
        for number, (up, down, count, priority) in self.plans.items():
            self.peer.transport.rooms[number] = 0
            self._send(number, pattern(number, up)[:up], count, priority)
            self._answer(number, pattern(number + 1, down)[:down], count)

    def _send(self, number: int, content: bytes, count: int, priority: bytes | None) -> None:
        fields = [*UPLOAD] if content else [*REQUEST]
        if priority is not None:
            fields.append((b"priority", priority))
        size = -(-len(content) // count) or 1
        pieces = [content[at : at + size] for at in range(0, len(content), size)]
        data = headers(fields) + b"".join(map(data_frame, pieces))
        step = max(1, len(data) // (3 * count))
        self.peer.on(number, *[data[at : at + step] for at in range(0, len(data), step)])
        self.peer.on(number, b"", end=True)

    def _answer(self, number: int, content: bytes, count: int) -> None:
        sender, stream = self.peer.connection.sender, self.peer.sink.streams[number]
        if count == 1:
            if sender.respond(stream, b"\0\0\xd9", content):
                self.peer.connection.finished(stream)
            return
        sender.start(stream, b"\0\0\xd9")
        size = -(-len(content) // count) or 1
        for at in range(0, len(content), size):
            sender.feed(stream, content[at : at + size])
        sender.finish(stream)

    def unblock(self) -> None:
        for number in list(self.peer.connection.streams):
            if self.peer.transport.room(number):
                self.peer.connection.writable(number)
        self.peer.pump()


@settings(max_examples=80, deadline=None)
@given(requests, steps)
def test_every_octet_arrives_whatever_room_there_is(plans, script):
    exchange = Exchange(plans)
    peer, transport = exchange.peer, exchange.peer.transport
    peer.pump()
    for action, first, second in script:
        if action == "room" and 4 * first in exchange.plans:
            transport.rooms[4 * first] += second
        elif action == "move":
            peer.on(CONTROL, priority_update(4 * first, b"u=%d" % second))
        elif action == "total":
            transport.total = max(transport.total, 0) + first
        exchange.unblock()
    transport.total = 2**30
    for number in exchange.plans:
        transport.rooms[number] = 2**30
    exchange.unblock()
    assert peer.fault is None
    assert not peer.connection.streams
    assert not peer.connection.sender.has_queued
    for number, (up, down, _, _) in exchange.plans.items():
        assert peer.sink.content[number] == pattern(number, up)[:up]
        assert peer.body(number) == pattern(number + 1, down)[:down]
        assert number in transport.ended
        assert peer.sink.whole.count(number) == 1


# --- anything -----------------------------------------------------------------------------------

stream_ids = st.sampled_from([0, 0, 4, 8, CONTROL, ENCODER, DECODER, 14, 400])
kinds = st.one_of(
    st.sampled_from([0, 0, 1, 1, 1, 4, 5, 7, 0xD, 0x21, 0xF0700]), st.integers(0, 2**62 - 1)
)


@st.composite
def frames_of_any_kind(draw) -> bytes:
    payload = draw(
        st.one_of(
            st.binary(max_size=40),
            st.sampled_from([headers()[2:], headers(UPLOAD)[2:], b"\0\0", b"\x08"]),
        )
    )
    return frames.frame(draw(kinds), payload)


good = st.sampled_from([headers(), headers(UPLOAD), data_frame(b"abc"), data_frame(b"x" * 500)])
anything = st.one_of(
    st.lists(st.one_of(frames_of_any_kind(), good), max_size=10).map(b"".join),
    st.binary(max_size=300),
)
events = st.lists(
    st.one_of(
        st.tuples(st.just("data"), stream_ids, anything, st.booleans()),
        st.tuples(st.just("reset"), stream_ids, st.just(b""), st.just(False)),
        st.tuples(st.just("stop"), st.sampled_from([0, 4, 8]), st.just(b""), st.just(False)),
    ),
    max_size=25,
)


def play(peer: Peer, script) -> None:
    """Do what QUIC could do: nothing comes on a stream behind its end."""
    over: set[int] = set()
    for action, number, data, end in script:
        if action == "stop":
            peer.connection.was_stopped(number, peer.now)
        elif number not in over:
            if action == "reset":
                peer.connection.was_reset(number, peer.now)
            else:
                peer.on(number, data, end=end)
            if end or action == "reset":
                over.add(number)


def bounded(peer: Peer) -> bool:
    connection, limits = peer.connection, peer.limits
    return (
        all(
            len(each.pending) <= limits.field_block_bytes_max
            for each in connection.streams.values()
        )
        and len(connection._control._pending) <= 16 * 1024 + 16
        and len(connection.streams) <= limits.concurrent_streams_max
        and len(connection._discarded) <= 2 * limits.concurrent_streams_max
        and len(connection._unseen) <= 2 * limits.concurrent_streams_max
        and len(connection._control.early_lanes) <= 100
    )


@settings(max_examples=300, deadline=None)
@given(events)
def test_nothing_that_a_peer_does_raises_or_grows(script):
    peer = Peer(answers=b"hello")
    greeted = peer.transport.credits.copy()
    play(peer, script)
    assert bounded(peer)
    peer.pump()
    if peer.fault is not None:
        assert not peer.connection.streams
    received = dict(greeted)
    for action, number, data, _ in script:
        if action == "data":
            received[number] = received.get(number, 0) + len(data)
    for number, credit in peer.transport.credits.items():
        assert credit <= received[number]


@settings(max_examples=150, deadline=None)
@given(anything, st.lists(st.integers(0, 3000), max_size=20), st.booleans())
def test_however_the_octets_are_cut_the_result_is_the_same(data, cuts, end):
    results = []
    for places in ([], cuts):
        peer = Peer(answers=b"hello" * 50)
        bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in places)})
        pieces = [data[a:b] for a, b in itertools.pairwise(bounds)] or [b""]
        peer.on(0, *pieces, b"", end=end)
        sink = peer.sink
        results.append(
            (
                peer.transport.sent,
                peer.connection.fault and str(peer.connection.fault),
                peer.transport.resets,
                sink.whole,
                sink.content,
                sink.resets,
                sink.trailers,
                list(peer.connection.streams),
                peer.fault or peer.transport.credits,
            )
        )
    assert results[0] == results[1]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 200), min_size=1, max_size=200))
def test_frames_of_any_number_are_taken_in_portions(sizes):
    peer = Peer().upload(0)
    content = [bytes((at & 0xFF,)) * max(1, size) for at, size in enumerate(sizes)]
    data = b"".join(map(data_frame, content))
    peer.connection.received(0, data, peer.now, end=True)
    turns = 0
    while peer.sink.behind:
        peer.connection.go_on(peer.sink.behind.pop(), peer.now)
        turns += 1
    assert turns == (len(sizes) - 1) // FRAMES_PER_TURN
    assert peer.sink.content[0] == b"".join(content)
    assert peer.sink.whole == [0]
