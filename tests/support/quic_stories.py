"""The same story told to a connection with its fast lanes and to one without, step by step.

told = Told(settings, SlowReader)
told.do(("ask", 100, True))
told.do(("flow", 0b1, 0, 7, False))     # one exchange, of which the client's first datagram is lost
told.state()                            # what can be seen of the server then

Time is simulated and nothing is left to chance, so two connections that are told the same are in
the same state after every step, whatever keys and names they have.
"""

import math
import random

from aioquic import tls
from aioquic.quic import events
from aioquic.quic.stream import QuicStream

from edgeproxy.quic.connection import ServerConnection
from edgeproxy.quic.outgoing import Outgoing
from edgeproxy.quic.settings import QuicSettings
from tests.support.quic import CLIENT, SERVER, Client, Pair, datagrams_of, packet_of, uint_var

WINDOW = 13_200  # handshakes differ by an octet or two, and so would the congestion windows
SAMPLED_BYTES = 1 + 8 + 4 + 16


class SlowReader(ServerConnection):
    """Lets aioquic read everything."""

    def _run(self, datagrams, at):
        return []


class SlowWriter(ServerConnection):
    """Lets aioquic make all packets."""

    is_lane_open = False


class Fickle(ServerConnection):
    """Changes lanes at random."""

    dice = random.Random(0)

    @property
    def is_lane_open(self):
        return super().is_lane_open and self.dice.random() < 0.5


class Orderly(Client):
    """Sends streams by number; stock aioquic lets addresses in memory decide."""

    @property
    def _streams_queue(self):
        self._streams_in_order.sort(key=lambda stream: stream.stream_id)
        return self._streams_in_order

    @_streams_queue.setter
    def _streams_queue(self, streams):
        self._streams_in_order = streams


class Told:
    """One pair, as far as a confirmed handshake, and the steps of a story."""

    def __init__(self, settings: QuicSettings, kind: type[ServerConnection], **client) -> None:
        self.pair = Pair(settings, kind=kind, client=Orderly(server_name="a.test", **client))
        self.pair.run(12)
        self.server, self.client = self.pair.server, self.pair.client
        assert self.server._handshake_confirmed
        loss = self.server._loss
        loss._cc.congestion_window = WINDOW
        loss._pacer.update_rate(congestion_window=WINDOW, smoothed_rtt=loss._rtt_smoothed)
        loss._pacer.bucket_time = loss._pacer.bucket_max
        self.streams: list[int] = []
        self.heard: list[object] = []
        self.sent: list[bytes] = []  # by the client
        self.moves = 0

    def do(self, step: tuple) -> None:
        kind, *arguments = step
        getattr(self, f"_{kind}")(*arguments)
        self._hear()

    # --- what a client does -----------------------------------------------------------------------

    def _ask(self, octets: int, end: bool) -> None:
        stream_id = 4 * len(self.streams)
        self.streams.append(stream_id)
        self.client.send_stream_data(stream_id, bytes(octets), end_stream=end)

    def _more(self, which: int, octets: int, end: bool) -> None:
        stream = self._of(self.client, which)
        sender = None if stream is None else stream.sender
        if sender is not None and sender._buffer_fin is sender._reset_error_code is None:
            sender.write(bytes(octets), end_stream=end)

    def _reset(self, which: int) -> None:
        stream = self._of(self.client, which)
        if stream is not None:
            stream.sender.reset(0x10C)

    def _refuse(self, which: int) -> None:
        stream = self._of(self.client, which)
        if stream is not None:
            stream.receiver.stop(0x10C)

    def _ping(self) -> None:
        self.client.send_ping(1)

    def _renew_keys(self) -> None:
        self.client.request_key_update()

    def _rename(self) -> None:
        self.client.change_connection_id()

    def _rebind(self) -> None:
        """Get another port, as behind a NAT that forgets."""
        self.moves += 1
        host, _ = self.pair.client_address
        self.pair.client_address = host, CLIENT[1] + self.moves

    def _move(self) -> None:
        """Go to another host."""
        self.moves += 1
        self.pair.client_address = f"198.51.100.{self.moves}", CLIENT[1]

    def _windows(self, octets: int) -> None:
        frames = b"\x10" + uint_var(octets)
        for stream_id in self.streams:
            frames += b"\x11" + uint_var(stream_id) + uint_var(octets)
        self._raw(frames[:1000])

    def _raw(self, frames: bytes) -> None:
        if self.client._close_event is None:
            self.deliver([packet_of(self.client, frames, self.pair.now)])

    # --- what a server does -----------------------------------------------------------------------

    def _answer(self, which: int, octets: int, end: bool) -> None:
        if self.streams:
            self.server.queue(self.streams[which % len(self.streams)], bytes(octets), end=end)

    def _abandon(self, which: int) -> None:
        if self.streams:
            self.server.abandon(self.streams[which % len(self.streams)], 0x10C)

    def _stop(self, which: int) -> None:
        if self.streams:
            self.server.stop(self.streams[which % len(self.streams)], 0x10C)

    def _renew_keys_here(self) -> None:
        self.server.request_key_update()

    # --- what happens on the way ------------------------------------------------------------------

    def _flow(self, lost_there: int, lost_back: int, seed: int, together: bool) -> None:
        """Let datagrams pass once in each direction, but for those whose bit is set."""
        self.pair.now += 0.01
        dice = random.Random(seed)
        made = [data for data, _ in self.client.datagrams_to_send(self.pair.now)]
        self.sent += made
        there = _passed(made, lost_there, dice)
        if together:
            self.deliver(there)
        else:
            for each in there:
                self.deliver([each])
        self.pair.now += 0.01
        back = [
            data
            for data, address in datagrams_of(self.server, self.pair.now)
            if address == self.pair.client_address
        ]
        for data in _passed(back, lost_back, dice):
            self.client.receive_datagram(data, SERVER, self.pair.now)
        while self.client.next_event() is not None:
            pass

    def _again(self, which: int) -> None:
        """Deliver an old datagram, once more or at last."""
        if self.sent:
            self.deliver([self.sent[-1 - which % len(self.sent)]])

    def _forge(self, which: int) -> None:
        if self.sent:
            data = bytearray(self.sent[-1 - which % len(self.sent)])
            if len(data) > SAMPLED_BYTES:  # or the header would be another one, by chance
                data[-1] ^= 1
                self.deliver([bytes(data)])

    def _wait(self, seconds: float) -> None:
        self.pair.now += seconds
        now = self.pair.now
        if (at := self.client.get_timer()) is not None and at <= now:
            self.client.handle_timer(now)
        if (at := self.server.timer()) is not None and at <= now and not self.server.is_over:
            self.server.on_timer(now)

    # --- inside -----------------------------------------------------------------------------------

    def _of(self, end, which: int) -> QuicStream | None:
        return end._streams.get(self.streams[which % len(self.streams)]) if self.streams else None

    def deliver(self, batch: list[bytes]) -> None:
        self.server.take([(each, self.pair.client_address) for each in batch], self.pair.now)
        self._hear()

    def _hear(self) -> None:
        for each in self.server.events():
            if isinstance(each, events.ConnectionIdIssued | events.ConnectionIdRetired):
                self.heard.append(type(each))  # names are random
                continue
            self.heard.append(each)
            if isinstance(each, events.StreamDataReceived):
                self.server.consumed(each.stream_id, len(each.data))

    def state(self) -> dict[str, object]:
        return {**_state(self.server), "events": self.heard[-20:], "count": len(self.heard)}


def _passed(datagrams: list[bytes], lost: int, dice: random.Random) -> list[bytes]:
    found = [each for n, each in enumerate(datagrams) if not lost >> n & 1]
    if dice.random() < 0.3:
        dice.shuffle(found)
    if found and dice.random() < 0.2:
        found.insert(dice.randrange(len(found)), dice.choice(found))
    return found


def _state(server: ServerConnection) -> dict[str, object]:
    """Return what a reader changes of a connection."""
    loss, cc, space = server._loss, server._loss._cc, server._spaces[tls.Epoch.ONE_RTT]
    names = [each.cid for each in server._host_cids]
    return {
        "error": server.error_code,
        "over": server.is_over,
        "received": list(space.ack_queue),
        "largest": space.largest_received_packet,
        "largest at": space.largest_received_time,
        "ack at": space.ack_at,
        "largest acknowledged": space.largest_acked_packet,
        "sent": [(n, each.sent_time, each.sent_bytes) for n, each in space.sent_packets.items()],
        "in flight": (space.ack_eliciting_in_flight, cc.bytes_in_flight),
        "window": (cc.congestion_window, cc.ssthresh, cc._congestion_stash),
        "recovery": cc._congestion_recovery_start_time,
        "loss time": space.loss_time,
        "rtt": (loss._rtt_latest, loss._rtt_smoothed, loss._rtt_variance, loss._rtt_min),
        "timeouts": loss._pto_count,
        "pace": (loss._pacer.packet_time, loss._pacer.bucket_max, loss._pacer.bucket_time),
        "close at": server._close_at,
        "timer": None if server._close_at is None else server.timer(),
        "probe": (server._probe_pending, server._ack_eliciting_sent_since_receipt),
        "windows": (server._remote_max_data, server._remote_max_data_used, sorted(server._shut)),
        "ours": (server._local_max_data.used, server._local_max_data.value),
        "streams": {n: _stream_state(each) for n, each in server._streams.items()},
        "order": (sorted(server._schedule._queued), server._schedule.outstanding_bytes),
        "ends": (list(server._schedule.to_tell), list(server._schedule.over)),
        "keys": (server.keys.recv.key_phase, server.keys.send.key_phase, server.keys.updates),
        "forgeries": (server.keys.forgeries, server.keys.derivations),
        "first": server.keys._first_number,
        "spin": (server._spin_bit, server._spin_highest_pn),
        "paths": [
            (each.addr, each.is_validated, each.bytes_sent, each.bytes_received)
            for each in server._network_paths
        ],
        "name": names.index(server.host_cid) if server.host_cid in names else None,
        "peer": server._peer_cid.sequence_number,
        "patience": (server._idle_frames._tokens, server._small_frames._tokens),
    }


def _stream_state(stream: QuicStream) -> tuple:
    sender, receiver = stream.sender, stream.receiver
    found: list[object] = [
        stream.max_stream_data_remote,
        stream.max_stream_data_local,
        receiver.highest_offset,
        receiver.is_finished,
        sender.is_finished,
        sender.highest_offset,
    ]
    if isinstance(sender, Outgoing):
        found += [sender.outstanding, sender.acknowledged, list(sender.lost), list(sender._acked)]
        found += [sender.ends_at, sender.is_end_due, sender.reset_code, sender.reset_pending]
    return tuple(found)


def is_same(one: object, other: object) -> bool:
    """Whether two states are equal, but for what arithmetic in another order changes."""
    if isinstance(one, float) and isinstance(other, float):
        return one == other or math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one == other


def differences(one: dict[str, object], other: dict[str, object]) -> dict[str, object]:
    return {key: (one[key], other[key]) for key in one if not is_same(one[key], other[key])}
