"""A server's connection and a stock client with a path between them that loses, delays and repeats.

journey = Journey(settings, SlowWriter, Path(loss=0.1), seed=7)
journey.ask(0); journey.answer(0, content)
journey.run()
journey.check_nothing_is_left()

Time is simulated: each step goes to whatever is due next. After each step the books of the server
are compared with what is really under way (`check_books`).
"""

import functools
import heapq
import random
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

from aioquic import tls
from aioquic.quic import events
from aioquic.quic.connection import MAX_STREAM_DATA_FRAME_CAPACITY
from aioquic.quic.packet import QuicFrameType

from edgeproxy.quic.connection import ServerConnection
from edgeproxy.quic.lane import SentPacket
from edgeproxy.quic.outgoing import Outgoing
from edgeproxy.quic.settings import QuicSettings
from tests.support.quic import CLIENT, SERVER, Client, Pair, datagrams_of

PATIENCE_SECONDS = 100_000.0  # simulated ones cost nothing
MOMENT_SECONDS = 1e-6


@dataclass(frozen=True)
class Path:
    """Shares and seconds; `jitter` puts datagrams out of order."""

    loss: float = 0.0
    repeated: float = 0.0
    delay: float = 0.02
    jitter: float = 0.0


class Frugal(Client):
    """Opens the windows of streams bit by bit, as little as `step` at a time."""

    step = 0

    def _write_stream_limits(self, builder, space, stream):
        if not self.step or not stream.max_stream_data_local:
            super()._write_stream_limits(builder, space, stream)
            return
        seen = stream.receiver.highest_offset
        if stream.max_stream_data_local - seen < self.step // 2:
            stream.max_stream_data_local = seen + self.step
        if stream.max_stream_data_local_sent != stream.max_stream_data_local:
            buf = builder.start_frame(
                QuicFrameType.MAX_STREAM_DATA,
                capacity=MAX_STREAM_DATA_FRAME_CAPACITY,
                handler=self._on_max_stream_data_delivery,
                handler_args=(stream,),
            )
            buf.push_uint_var(stream.stream_id)
            buf.push_uint_var(stream.max_stream_data_local)
            stream.max_stream_data_local_sent = stream.max_stream_data_local


class Journey:
    """See the module."""

    def __init__(
        self,
        settings: QuicSettings,
        kind: type[ServerConnection],
        path: Path = Path(),
        *,
        seed: int = 0,
        client: Client | None = None,
    ) -> None:
        self.pair = Pair(settings, kind=kind, client=client or Client(server_name="a.test"))
        self.pair.run(15)
        self.server, self.client = self.pair.server, self.pair.client
        self.path, self.dice = path, random.Random(seed)
        self.now = self.pair.now
        self.address = CLIENT
        self.under_way: list[tuple[float, int, bool, bytes]] = []
        self.count = 0
        self.got: dict[int, bytearray] = defaultdict(bytearray)
        self.ended: list[int] = []  # in order
        self.arrivals: list[tuple[int, int]] = []  # stream and octets, in order
        self.resets: dict[int, int] = {}
        self.waiting: dict[int, bytes] = {}  # what the server has not queued yet
        self.later: list[tuple[float, int, Callable[[], object]]] = []
        self.asked: set[int] = set()

    # --- what is wanted ---------------------------------------------------------------------------

    def ask(self, *streams: int) -> None:
        for stream_id in streams:
            self.client.send_stream_data(stream_id, b"?", end_stream=True)
            self.asked.add(stream_id)
        self._flush()
        while not all(each in self.server._streams for each in streams):
            self._step()

    def answer(self, stream_id: int, content: bytes) -> None:
        self.waiting[stream_id] = content
        self._write(stream_id)

    def at(self, seconds: float, what: Callable[[], object]) -> None:
        """Do something so many seconds from now."""
        heapq.heappush(self.later, (self.now + seconds, len(self.later), what))

    def run(self) -> None:
        """Go on until all is done."""
        until = self.now + PATIENCE_SECONDS
        self._flush()
        while not self.is_done() and self.now < until and self.client._close_event is None:
            self._step()

    def is_done(self) -> bool:
        server = self.server
        return not self.later and not self.waiting and server.is_settled and self._is_quiet()

    def _is_quiet(self) -> bool:
        server = self.server
        return not any(not stream_id & 1 for stream_id in server._streams) and not self._unread()

    def _unread(self) -> int:
        return self.server._spaces[tls.Epoch.ONE_RTT].ack_eliciting_in_flight

    # --- time -------------------------------------------------------------------------------------

    def _step(self) -> None:
        at = [self.under_way[0][0]] if self.under_way else []
        at += [self.later[0][0]] if self.later else []
        at += [each for each in (self.client.get_timer(), self.server.timer()) if each is not None]
        # a loss that is due to the last bit may be found a moment later only
        self.now = max(self.now + MOMENT_SECONDS, min(at))
        while self.later and self.later[0][0] <= self.now:
            heapq.heappop(self.later)[2]()
        batch = []
        while self.under_way and self.under_way[0][0] <= self.now:
            _, _, is_to_server, data = heapq.heappop(self.under_way)
            if is_to_server:
                batch.append((data, self.address))
            else:
                self.client.receive_datagram(data, SERVER, self.now)
        if batch:
            self.server.take(batch, self.now)
        if (timer := self.client.get_timer()) is not None and timer <= self.now:
            self.client.handle_timer(self.now)
        if not self.server.is_over and (timer := self.server.timer()) and timer <= self.now:
            self.server.on_timer(self.now)
        self._applications()
        self._flush()

    def _flush(self) -> None:
        for data, _ in self.client.datagrams_to_send(self.now):
            self._put(data, is_to_server=True)
        for data, address in datagrams_of(self.server, self.now):
            if address == self.address:
                self._put(data, is_to_server=False)
        if not self.server.is_over:
            self.check_books()

    def _put(self, data: bytes, *, is_to_server: bool) -> None:
        path = self.path
        for _ in range(1 + (self.dice.random() < path.repeated)):
            if self.dice.random() < path.loss:
                continue
            self.count += 1
            at = self.now + path.delay + self.dice.random() * path.jitter
            heapq.heappush(self.under_way, (at, self.count, is_to_server, data))

    def _applications(self) -> None:
        for each in self.server.events():
            if isinstance(each, events.StreamDataReceived):
                self.server.consumed(each.stream_id, len(each.data))
            elif isinstance(each, events.StopSendingReceived):
                self.waiting.pop(each.stream_id, None)
        for stream_id in list(self.server.relieved()):
            self._write(stream_id)
        while (event := self.client.next_event()) is not None:
            if isinstance(event, events.StreamDataReceived):
                self.got[event.stream_id] += event.data
                self.arrivals.append((event.stream_id, len(event.data)))
                if event.end_stream:
                    self.ended.append(event.stream_id)
            elif isinstance(event, events.StreamReset):
                self.resets[event.stream_id] = event.error_code

    def _write(self, stream_id: int) -> None:
        content = self.waiting.get(stream_id)
        if content is None:
            return
        room = self.server.room(stream_id)
        if room or not content:
            is_last = room >= len(content)
            self.server.queue(stream_id, content[:room], end=is_last)
            self.waiting[stream_id] = content[room:]
            if is_last:
                del self.waiting[stream_id]

    # --- what happens in between ------------------------------------------------------------------

    def move(self, host: str) -> None:
        """Let the client be elsewhere, and say so: nobody else could know."""
        self.address = host, CLIENT[1]
        self.client.send_ping(1)

    def update_keys(self) -> None:
        """Update the client's keys, and say so until it is heard.

        Stock aioquic cannot read what comes with the last ones, so nobody else would say it.
        """
        self.client.request_key_update()
        self.client.send_ping(0)

    def abandon(self, stream_id: int) -> None:
        self.waiting.pop(stream_id, None)
        self.server.abandon(stream_id, 0x10C)

    def refuse(self, stream_id: int) -> None:
        stream = self.client._streams.get(stream_id)
        if stream is not None:
            stream.receiver.stop(0x10C)

    # --- the books --------------------------------------------------------------------------------

    def check_books(self) -> None:
        """What is counted is what is there."""
        server = self.server
        space, cc = server._spaces[tls.Epoch.ONE_RTT], server._loss._cc
        sent = list(space.sent_packets.values())
        assert list(space.sent_packets) == sorted(space.sent_packets)
        assert cc.bytes_in_flight == sum(each.sent_bytes for each in sent if each.in_flight)
        assert space.ack_eliciting_in_flight == sum(each.is_ack_eliciting for each in sent)
        assert server._remote_max_data_used <= server._remote_max_data
        path = server._network_paths[0]
        assert path.is_validated or path.bytes_sent <= 3 * path.bytes_received
        under_way: dict[Outgoing, list[tuple[int, int]]] = defaultdict(list)
        ends: set[Outgoing] = set()
        for packet in sent:
            for sender, start, stop, is_end in _frames(packet):
                under_way[sender] += [(start, stop)] if stop > start else []
                if is_end:
                    ends.add(sender)
        total = 0
        for stream in server._streams.values():
            sender = stream.sender
            if not isinstance(sender, Outgoing):
                continue
            total += sender.outstanding
            assert sender.highest_offset <= stream.max_stream_data_remote or stream.is_blocked
            if sender.reset_code is not None or sender.is_finished:
                continue
            _check_sender(sender, under_way[sender])
            if sender.ends_at is not None:
                assert sender.is_end_due or sender in ends or sender._is_end_acknowledged
            waits = stream.stream_id in server._schedule or stream.stream_id in server._shut
            assert waits or not sender.has_something
            if sender.lost:
                assert stream.stream_id in server._schedule
        assert total == server._schedule.outstanding_bytes

    def check_nothing_is_left(self) -> None:
        server = self.server
        assert self.client._close_event is None
        assert server.error_code is None
        schedule, space = server._schedule, server._spaces[tls.Epoch.ONE_RTT]
        assert not any(not stream_id & 1 for stream_id in server._streams)
        assert not [each for each in space.sent_packets.values() if each.is_ack_eliciting]
        assert space.ack_eliciting_in_flight == 0
        assert server._loss._cc.bytes_in_flight == 0
        assert schedule.outstanding_bytes == 0
        assert len(schedule) == 0
        assert not schedule.to_tell
        assert not schedule._lane_of
        assert not server._receipts
        assert not server._shut
        assert not list(server.relieved())
        assert not server._starved


def _frames(packet) -> list[tuple[Outgoing, int, int, bool]]:
    if isinstance(packet, SentPacket):
        return list(packet.frames)
    return [
        (handler.__self__, *arguments)
        for handler, arguments in packet.delivery_handlers
        if getattr(handler, "__func__", None) is Outgoing.on_data_delivery
    ]


def _check_sender(sender: Outgoing, under_way: list[tuple[int, int]]) -> None:
    """Every octet is acknowledged, under way, lost or not sent yet, and only one of these."""
    beyond = [(each.start, each.stop) for each in sender._acked]
    at = sender.acknowledged
    for start, stop in sorted([*under_way, *sender.lost, *beyond]):
        assert start == at, (sender.stream_id, start, at)
        at = stop
    assert at == sender.highest_offset
    held = sum(len(chunk) for _, chunk in sender._chunks)
    first = sender._chunks[0][0] if sender._chunks else sender.queued
    assert first <= sender.acknowledged
    assert held == sender.queued - first


@functools.cache
def content_of(stream_id: int, size: int) -> bytes:
    return random.Random(stream_id).randbytes(size)
