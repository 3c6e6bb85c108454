"""The HTTP/2 connection against the `h2` library as its client, and against `hyperframe`."""

import itertools
from dataclasses import dataclass, field

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings
import hyperframe.frame as oracle
from hypothesis import given, settings
from hypothesis import strategies as st

from edgeproxy.wire.h2 import codes, frames
from edgeproxy.wire.h2.connection import Connection
from edgeproxy.wire.h2.hpack import encode_field, encode_status
from edgeproxy.wire.h2.prepared import PreparedResponse
from edgeproxy.wire.h2.streams import Stream
from edgeproxy.wire.limits import Limits
from edgeproxy.wire.requests import RequestHead
from tests.support.h2_peer import REQUEST, UPLOAD, Peer, data_frame, parse, ping, priority_update

# For a client that resets and pings at random: budgets have tests of their own.
GENEROUS = Limits(resets_burst=10_000, control_frames_burst=10_000)


def pattern(seed: int, size: int) -> bytes:
    return bytes((seed * 31 + i * 7) % 256 for i in range(256)) * (size // 256 + 1)


@dataclass
class Plan:
    """What one request carries, and what its answer shall."""

    upload: bytes
    answer: bytes
    chunks: int
    early: bool
    sent: int = 0
    received: bytearray = field(default_factory=bytearray)
    is_whole: bool = False
    is_reset: bool = False
    unread: int = 0


class Server:
    """A `Sink` that answers as planned and uses what it gets after a while."""

    def __init__(self) -> None:
        self.connection = Connection(self, GENEROUS)
        self.plans: dict[int, Plan] = {}
        self.uploads: dict[int, bytearray] = {}
        self.unused: dict[int, int] = {}
        self.streams: dict[int, Stream] = {}
        self.parts: dict[int, list[bytes]] = {}

    def on_whole_request(self, stream_id: int, head: RequestHead) -> object | None:
        self.uploads[stream_id] = bytearray()
        plan = self.plans[stream_id]
        if plan.chunks == 1:
            prepared = PreparedResponse(block_of(plan), plan.answer)
            if self.connection.sender.send_prepared(stream_id, prepared):
                return None
        return self

    def on_request(self, stream: Stream, head: RequestHead) -> None:
        self.uploads.setdefault(stream.id, bytearray())
        self.streams[stream.id] = stream
        if stream.is_remote_ended or self.plans[stream.id].early:
            self.answer(stream)

    def on_too_large(self, stream: Stream, status: int) -> None:
        raise AssertionError("nothing is too large here")

    def on_content(self, stream: Stream, data: bytes) -> None:
        self.uploads[stream.id] += data
        self.unused[stream.id] = self.unused.get(stream.id, 0) + len(data)
        if stream.is_remote_ended and not self.plans[stream.id].early:
            self.answer(stream)

    def on_trailers(self, stream: Stream, fields: list[tuple[bytes, bytes]]) -> None:
        raise AssertionError("nothing has trailers here")

    def on_reset(self, stream: Stream) -> None:
        self.streams.pop(stream.id)
        self.parts.pop(stream.id, None)

    def answer(self, stream: Stream) -> None:
        plan, sender = self.plans[stream.id], self.connection.sender
        if plan.chunks == 1:
            if sender.respond(stream, block_of(plan), plan.answer):
                self.finish(stream)
            return
        sender.start(stream, block_of(plan))
        step = max(1, len(plan.answer) // plan.chunks)
        self.parts[stream.id] = [
            plan.answer[at : at + step] for at in range(0, len(plan.answer), step)
        ]

    def use(self) -> None:
        """Use the content that has come, also of streams that are gone."""
        for number, size in self.unused.items():
            if number in self.streams:
                self.connection.credit(self.streams[number], size)
        self.unused.clear()

    def pump(self, budget: int) -> None:
        sender = self.connection.sender
        for number, parts in list(self.parts.items()):
            stream = self.streams[number]
            if parts:
                sender.feed(stream, parts.pop(0))
            else:
                sender.finish(stream)
                del self.parts[number]
        sender.pump(budget)
        sender.relieved.clear()
        ended, sender.ended = sender.ended, []
        for stream in ended:
            self.finish(stream)

    def finish(self, stream: Stream) -> None:
        self.connection.finished(stream)
        del self.streams[stream.id]

    def take(self) -> bytes:
        sender = self.connection.sender
        data = b"".join(sender.out)
        sender.out.clear()
        sender.out_bytes = 0
        return data


def block_of(plan: Plan) -> bytes:
    return encode_status(200) + encode_field(b"content-length", b"%d" % len(plan.answer))


class Pair:
    """The `h2` library and our connection, and the wire between them."""

    def __init__(self, window: int) -> None:
        config = h2.config.H2Configuration(client_side=True, header_encoding=False)
        self.client = h2.connection.H2Connection(config)
        self.server = Server()
        self.now = 1000.0
        self.plans = self.server.plans
        self.client.initiate_connection()
        self.change_window(window)
        self.exchange()

    # --- what a client may do ---

    def request(self, plan: Plan) -> None:
        if self.client.open_outbound_streams >= 100:
            return
        number = self.client.get_next_available_stream_id()
        self.plans[number] = plan
        fields = UPLOAD if plan.upload else REQUEST
        self.client.send_headers(number, list(fields), end_stream=not plan.upload)

    def upload(self, most: int) -> None:
        """Send more of every upload, as far as the windows allow."""
        for number, plan in self.plans.items():
            if plan.sent >= len(plan.upload) or plan.is_reset or plan.is_whole:
                continue
            try:
                room = self.client.local_flow_control_window(number)
            except h2.exceptions.StreamClosedError:
                continue
            size = min(most, len(plan.upload) - plan.sent, room, 16384 - 10)
            if size <= 0:
                continue
            data = plan.upload[plan.sent : plan.sent + size]
            plan.sent += size
            is_end = plan.sent == len(plan.upload)
            padding = 7 if size % 3 == 0 and room >= size + 8 else None
            self.client.send_data(number, data, end_stream=is_end, pad_length=padding)

    def read(self, most: int) -> None:
        """Acknowledge some of what has come on every stream."""
        for number, plan in self.plans.items():
            size = min(most, plan.unread)
            if size and not plan.is_reset:
                plan.unread -= size
                self.client.acknowledge_received_data(size, number)

    def reset(self, which: int) -> None:
        going = [n for n, p in self.plans.items() if not (p.is_whole or p.is_reset)]
        if going:
            number = going[which % len(going)]
            try:
                self.client.reset_stream(number, codes.CANCEL)
            except h2.exceptions.StreamClosedError:
                return
            self.forget(number)

    def forget(self, number: int) -> None:
        plan = self.plans[number]
        plan.is_reset = True
        self.acknowledge_connection(plan.unread)
        plan.unread = 0

    def acknowledge_connection(self, size: int) -> None:
        if size:
            self.client.increment_flow_control_window(size)

    def change_window(self, size: int) -> None:
        self.client.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: size})

    # --- the wire ---

    def exchange(self, pieces: int = 1) -> None:
        """Carry everything over, both ways, until nobody has anything to say."""
        while True:
            there = self.client.data_to_send()
            step = max(1, len(there) // pieces)
            for at in range(0, len(there), step):
                self.server.connection.receive(there[at : at + step], self.now)
            fault = self.server.connection.fault
            assert fault is None, fault
            back = self.server.take()
            for event in self.client.receive_data(back):
                self.on_event(event)
            if not there and not back:
                return

    def on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.DataReceived):
            plan = self.plans[event.stream_id]
            plan.received += event.data
            if plan.is_reset:
                self.acknowledge_connection(event.flow_controlled_length)
            else:
                plan.unread += event.flow_controlled_length
        elif isinstance(event, h2.events.StreamEnded):
            self.plans[event.stream_id].is_whole = True
        elif isinstance(event, h2.events.StreamReset):
            plan = self.plans[event.stream_id]
            assert event.error_code == codes.NO_ERROR
            assert plan.is_whole, "reset before its answer was whole"
        else:
            assert not isinstance(event, h2.events.ConnectionTerminated), event

    # --- what must hold ---

    def check_windows(self) -> None:
        """Both sides must agree on every window."""
        client, connection = self.client, self.server.connection
        assert client.outbound_flow_control_window == connection._receiver._window
        inbound = client._inbound_flow_control_window_manager
        assert inbound.current_window_size == connection.sender.window
        for number, stream in connection.streams.items():
            theirs = client.streams[number]
            if not stream.is_remote_ended:
                assert theirs.outbound_flow_control_window == stream.window_in
            assert theirs._inbound_window_manager.current_window_size == stream.window

    def finish(self) -> None:
        for turn in itertools.count():
            self.upload(16384)
            self.server.use()
            self.server.pump(2**20)
            self.exchange()
            self.read(2**24)
            self.exchange()
            if all(p.is_whole or p.is_reset for p in self.plans.values()):
                return
            assert turn < 2000, "no progress"


plans = st.builds(
    lambda seed, up, down, chunks, early: Plan(
        pattern(seed, up)[:up], pattern(seed + 1, down)[:down], chunks, early and up > 0
    ),
    st.integers(0, 255),
    st.one_of(st.just(0), st.integers(0, 300), st.integers(0, 150_000)),
    st.one_of(st.integers(0, 300), st.integers(16000, 17000), st.integers(0, 300_000)),
    st.integers(1, 5),
    st.booleans(),
)
sizes = st.one_of(st.integers(1, 200), st.integers(1, 100_000))
steps = st.one_of(
    st.tuples(st.just("request"), plans),
    st.tuples(st.just("upload"), sizes),
    st.tuples(st.just("read"), sizes),
    st.tuples(st.just("reset"), st.integers(0, 100)),
    st.tuples(st.just("change_window"), st.one_of(st.integers(0, 70_000), st.just(2**20))),
    st.tuples(st.just("ping"), st.binary(min_size=8, max_size=8)),
    st.tuples(st.just("prioritize"), st.integers(0, 100)),
    st.tuples(st.just("use"), st.none()),
    st.tuples(st.just("pump"), sizes),
    st.tuples(st.just("exchange"), st.integers(1, 40)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(steps, min_size=3, max_size=40), st.sampled_from([0, 1, 1000, 65535, 2**20]))
def test_every_byte_arrives_and_both_sides_agree(script, window):
    pair = Pair(window)
    for action, argument in script:
        if action == "use":
            pair.server.use()
        elif action == "pump":
            pair.server.pump(argument)
        elif action == "ping":
            pair.client.ping(argument)
        elif action == "prioritize":
            pair.client.prioritize(2 * argument + 1, weight=16, depends_on=0)
        elif action == "exchange":
            pair.exchange(argument)
            pair.check_windows()
        else:
            getattr(pair, action)(argument)
    pair.change_window(100_000)
    pair.finish()
    pair.exchange()
    pair.check_windows()
    assert not pair.server.connection.sender.has_queued
    for number, plan in pair.plans.items():
        if plan.is_reset:
            assert plan.answer.startswith(plan.received)
            continue
        assert plan.received == plan.answer
        if not plan.early:
            assert pair.server.uploads[number] == plan.upload
        assert plan.upload.startswith(bytes(pair.server.uploads[number]))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 90), st.integers(1, 60_000), st.booleans())
def test_abandoned_uploads_leave_the_connection_window_whole(count, size, reset_by_client):
    pair = Pair(65535)
    for seed in range(count):
        pair.request(Plan(pattern(seed, size + 1)[: size + 1], b"no", 1, not reset_by_client))
        pair.exchange()
        pair.upload(size)
        pair.exchange()
        if reset_by_client:
            pair.reset(0)
        else:
            pair.server.pump(2**20)
        pair.exchange()
    pair.check_windows()
    assert pair.client.outbound_flow_control_window >= 2**19


# --- frames -------------------------------------------------------------------------------------

ids = st.integers(1, 2**31 - 1)
payloads = st.binary(max_size=200)


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 2**31 - 1), payloads)
def test_a_frame_is_what_hyperframe_reads(kind, flags, stream_id, payload):
    data = frames.frame(kind, flags, stream_id, payload)
    header = memoryview(data[:9])
    if kind == oracle.PingFrame.type or stream_id == 0 or kind in oracle.FRAMES:
        assert data[:3] == len(payload).to_bytes(3, "big")
        assert data[3:5] == bytes((kind, flags))
        return
    frame, length = oracle.Frame.parse_frame_header(header)
    assert (length, frame.stream_id) == (len(payload), stream_id)
    assert isinstance(frame, oracle.ExtensionFrame)
    assert (frame.type, frame.flag_byte) == (kind, flags)


@given(st.lists(st.tuples(st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1)), max_size=9))
def test_settings_are_what_hyperframe_reads(pairs):
    (frame,) = parse(frames.settings_frame(pairs))
    assert frame.settings == dict(pairs)


@given(ids, st.integers(1, 2**31 - 1), st.integers(0, 2**32 - 1), st.text(max_size=30))
def test_small_frames_are_what_hyperframe_reads(stream_id, increment, code, reason):
    data = frames.window_update_frame(stream_id, increment)
    data += frames.rst_stream_frame(stream_id, code)
    data += frames.goaway_frame(stream_id, code, reason)
    update, reset, goaway = parse(data)
    assert (update.stream_id, update.window_increment) == (stream_id, increment)
    assert (reset.stream_id, reset.error_code) == (stream_id, code)
    assert (goaway.last_stream_id, goaway.error_code) == (stream_id, code)
    assert goaway.additional_data == reason.encode()


@given(st.binary(max_size=60_000), ids, st.booleans())
def test_field_blocks_are_what_hyperframe_reads(block, stream_id, ends):
    flags = frames.END_STREAM if ends else 0
    first, *rest = parse(frames.field_block_frames(stream_id, block, flags))
    assert first.data + b"".join(frame.data for frame in rest) == block
    assert ("END_STREAM" in first.flags) == ends
    assert "END_HEADERS" in ([first, *rest])[-1].flags


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.integers(0, 255))
def test_content_that_hyperframe_writes_is_read(chunks, padding):
    peer = Peer().upload(1)
    for chunk in chunks:
        frame = oracle.DataFrame(1, chunk, pad_length=padding, flags=["PADDED"])
        peer.send(frame.serialize())
    end = oracle.DataFrame(1, b"", flags=["END_STREAM"])
    peer.send(end.serialize())
    assert peer.sink.content[1] == b"".join(chunks)
    assert peer.sink.whole == [1]


@given(st.integers(1, 5), st.integers(0, 255), st.booleans())
def test_requests_that_hyperframe_writes_are_read(parts, padding, prioritised):
    peer = Peer()
    block = peer.block()
    cuts = [len(block) * n // parts for n in range(parts + 1)]
    pieces = [block[a:b] for a, b in itertools.pairwise(cuts)]
    headers = oracle.HeadersFrame(1, pieces[0], pad_length=padding, flags=["PADDED", "END_STREAM"])
    if prioritised:
        headers.flags.add("PRIORITY")
        headers.depends_on, headers.stream_weight, headers.exclusive = 7, 200, True
    rest = [oracle.ContinuationFrame(1, piece) for piece in pieces[1:]]
    ([headers, *rest])[-1].flags.add("END_HEADERS")
    peer.send(*[frame.serialize() for frame in (headers, *rest)])
    assert peer.sink.whole == [1]


# --- anything -----------------------------------------------------------------------------------

small_ids = st.sampled_from([0, 1, 2, 3, 5, 7, 9, 2**31 - 1])


@st.composite
def frames_of_any_kind(draw) -> bytes:
    kind = draw(st.one_of(st.sampled_from([0, 0, 1, 1, 1, 3, 4, 8, 9, 16]), st.integers(0, 255)))
    flags = draw(st.sampled_from([0, 1, 4, 5, 8, 13, 0x20, 0x25, 0x2D, 0xFF]))
    good = Peer(settings=None).block()
    payload = draw(st.one_of(st.binary(max_size=40), st.just(good), st.just(bytes(4))))
    return frames.frame(kind, flags, draw(small_ids), payload)


anything = st.one_of(
    st.lists(frames_of_any_kind(), max_size=30).map(b"".join), st.binary(max_size=2000)
)


def bounded(peer: Peer) -> bool:
    connection, limits = peer.connection, peer.limits
    return (
        len(connection._pending) <= frames.HEADER_BYTES + frames.FRAME_BYTES_MAX
        and len(connection._block._data) <= limits.field_block_bytes_max + frames.FRAME_BYTES_MAX
        and len(connection.streams) <= limits.concurrent_streams_max
        and len(connection._early_lanes) <= 100
        and sum(map(len, connection.sender.out)) < 200_000
    )


@settings(max_examples=300, deadline=None)
@given(anything)
def test_nothing_that_a_peer_sends_raises_or_grows(data):
    peer = Peer(answers=b"hello")
    peer.send(data)
    assert bounded(peer)
    peer.pump()
    if peer.connection.is_failed:
        assert peer.goaway is not None
        assert not peer.connection.streams


def results(data: bytes, cuts: list[int]) -> tuple[object, ...]:
    peer = Peer(answers=b"hello" * 50, settings=None)
    bounds = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for a, b in itertools.pairwise(bounds):
        peer.send(data[a:b])
    sink = peer.sink
    return (
        b"".join(peer.connection.sender.out),
        peer.connection.fault and str(peer.connection.fault),
        sink.whole,
        sink.content,
        sink.resets,
        peer.connection.streams.keys(),
    )


good_frames = st.sampled_from(
    [ping(), priority_update(9, b"u=1"), frames.window_update_frame(0, 9), data_frame(1, b"abc")]
)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(frames_of_any_kind(), good_frames), max_size=20).map(b"".join),
    st.lists(st.integers(0, 5000), max_size=30),
)
def test_however_the_bytes_are_cut_the_result_is_the_same(data, cuts):
    peer = Peer(settings=None)
    begin = frames.PREFACE + frames.settings_frame(()) + peer.headers(1, UPLOAD, end=False)
    assert results(begin + data, cuts) == results(begin + data, [])


@given(st.binary(max_size=30))
def test_a_preface_is_exact(data):
    peer = Peer(settings=None).send(data)
    assert peer.connection.is_failed == (data[:24] != frames.PREFACE[: len(data)])
