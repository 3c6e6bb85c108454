"""Tests for edgeproxy/siblings/lines.py."""

import asyncio
import socket

import pytest

from edgeproxy.siblings import lines as module
from edgeproxy.siblings.lines import Inbox, Outbox, close_lines, make_lines, not_for
from tests.support.barrier import settle


@pytest.fixture
def lines():
    made = make_lines(2)
    yield made
    close_lines(made)


class Heard(list):
    def __call__(self, packet, stream):
        self.append(packet)
        if stream is not None:
            stream.close()


def test_one_worker_has_no_lines() -> None:
    assert make_lines(1) == []


def test_nobody_holds_the_ends_of_others(lines) -> None:
    assert list(not_for(lines, 0)) == [lines[1].receiver]
    held_by_nobody_else = {*not_for(lines, None)}
    assert held_by_nobody_else == {
        end for each in lines for end in (each.receiver, each.senders[each.index])
    }


async def test_packets_arrive_in_order_with_a_stream_to_answer_on(lines) -> None:
    answered = []

    def hear(packet, stream):
        stream.send(packet[::-1])
        stream.close()
        answered.append(packet)

    outbox, inbox = Outbox(lines[0].senders[1]), Inbox(lines[1].receiver, hear)
    streams = [outbox.post(b"early"), outbox.post(b"next")]
    inbox.start()
    while len(answered) < 2:
        await settle()
    assert [stream.recv(99) for stream in streams] == [b"ylrae", b"txen"]
    for stream in streams:
        stream.close()
    inbox.close()


async def test_what_finds_no_room_waits_and_keeps_its_place(lines, monkeypatch) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 3)
    outbox, heard = Outbox(lines[0].senders[1]), Heard()
    posted = []
    while (stream := outbox.post(b"%d" % len(posted) + b"." * 9000)) is not None:
        stream.close()  # whoever asks may go; the packet goes its way
        posted.append(b"%d" % len(posted))
    inbox = Inbox(lines[1].receiver, heard)
    inbox.start()
    while len(heard) < len(posted):
        await settle()
    assert [packet.rstrip(b".") for packet in heard] == posted
    stream = outbox.post(b"again")
    stream.close()
    while heard[-1] != b"again":
        await settle()
    inbox.close()
    outbox.close()


async def test_what_still_waits_at_the_end_is_let_go(lines) -> None:
    outbox = Outbox(lines[0].senders[1])
    streams = [outbox.post(b"." * 60_000) for _ in range(9)]
    outbox.close()
    streams[-1].settimeout(5)
    assert streams[-1].recv(1) == b""
    for stream in streams:
        stream.close()


async def test_a_packet_that_cannot_be_sent_ends_its_stream(lines, caplog) -> None:
    stream = Outbox(lines[0].senders[1]).post(b"." * 2**22)
    assert stream.recv(1) == b""
    assert "a packet to a sibling is lost" in caplog.text
    stream.close()


async def test_without_descriptors_there_is_no_line(lines, monkeypatch, caplog) -> None:
    def none(*_):
        raise OSError(24, "Too many open files")

    outbox = Outbox(lines[0].senders[1])
    monkeypatch.setattr(socket, "socketpair", none)
    assert outbox.post(b"x") is None
    assert "no line to a sibling" in caplog.text


async def test_a_packet_without_a_stream_is_heard_all_the_same(lines) -> None:
    heard = Heard()
    inbox = Inbox(lines[1].receiver, heard)
    inbox.start()
    lines[0].senders[1].send(b"bare")
    while not heard:
        await settle()
    assert heard == [b"bare"]
    inbox.close()


async def test_what_is_not_understood_costs_only_itself(lines, caplog) -> None:
    def refuse(packet, _stream):
        raise ValueError(packet)

    outbox, inbox = Outbox(lines[0].senders[1]), Inbox(lines[1].receiver, refuse)
    inbox.start()
    streams = [outbox.post(b"one"), outbox.post(b"two")]
    while caplog.text.count("a sibling's packet was not understood") < 2:
        await settle()
    for stream in streams:
        assert stream.recv(1) == b""
        stream.close()
    lines[0].senders[1].send(b"bare")
    while caplog.text.count("a sibling's packet was not understood") < 3:
        await settle()
    inbox.close()


async def test_a_line_that_has_ended_is_let_go(lines) -> None:
    inbox = Inbox(lines[1].receiver, lambda *_: None)
    inbox.start()
    lines[0].senders[1].close()
    await settle()
    assert not asyncio.get_running_loop().remove_reader(lines[1].receiver.fileno())
