"""Tests for edgeproxy/listeners/datagrams.py."""

import asyncio
import errno
import socket

import pytest

from edgeproxy.listeners import datagrams
from edgeproxy.listeners.datagrams import DatagramSocket
from tests.support.quic_endpoint import bound


@pytest.fixture
def reader():
    sock = bound()
    yield sock
    sock.close()


@pytest.fixture
def writer():
    sock = bound()
    yield DatagramSocket(sock)
    sock.close()


def read(sock):
    found = []
    while True:
        try:
            found.append(sock.recv(4096))
        except BlockingIOError:
            return found


RUNS = [
    [b"a" * 1200] * 3,
    [b"a" * 1350] * 70,  # more than one call takes
    [b"a" * 1200] * 9 + [b"the last one may be smaller"],
    [b"x"],
]


@pytest.mark.parametrize("run", RUNS)
@pytest.mark.parametrize("is_segmenting", [True, False])
def test_all_are_sent_in_order(reader, writer, run, is_segmenting):
    writer.is_segmenting = is_segmenting
    writer.send_burst(b"".join(run), len(run[0]), reader.getsockname(), [])
    writer.send(run[:2], reader.getsockname(), [])
    assert read(reader) == run + run[:2]
    assert writer.lost == 0


class Without:
    """A socket whose kernel cannot do one thing."""

    def __init__(self, sock, error):
        self.sock = sock
        self.error = error
        self.calls = 0

    def sendmsg(self, *_):
        self.calls += 1
        raise OSError(self.error, "no")

    def __getattr__(self, name):
        return getattr(self.sock, name)


def test_without_segmentation_each_goes_alone(reader, writer):
    writer.socket = without = Without(writer.socket, errno.EIO)
    for _ in range(2):
        writer.send_burst(b"a" * 3600, 1200, reader.getsockname(), [])
    assert read(reader) == [b"a" * 1200] * 6
    assert without.calls == 1, "it is asked once"


def test_what_cannot_go_is_lost(writer):
    writer.send([b"x" * 70_000], ("127.0.0.1", 9), [])
    assert writer.lost == 1
    writer.send_burst(b"x" * 70_000, 69_000, ("127.0.0.1", 9), [])
    assert writer.lost == 2


class Full(Without):
    is_full = True

    def sendto(self, *arguments):
        if self.is_full:
            raise BlockingIOError
        return self.sock.sendto(*arguments)


async def test_what_the_kernel_does_not_take_waits_its_turn(reader, writer, monkeypatch):
    monkeypatch.setattr(datagrams, "_WAITING_MAX", 3)
    writer.listen(lambda: None)
    writer.socket = full = Full(writer.socket, errno.EIO)
    for number in range(5):
        writer.send([b"%d" % number], reader.getsockname(), [])
    assert writer.lost == 2
    await asyncio.sleep(0)
    full.is_full = False
    arrived = asyncio.Event()
    asyncio.get_running_loop().add_reader(reader, arrived.set)
    async with asyncio.timeout(5):
        await arrived.wait()
    asyncio.get_running_loop().remove_reader(reader)
    assert read(reader) == [b"0", b"1", b"2"]
    writer.send([b"after"], reader.getsockname(), [])
    assert read(reader) == [b"after"]
    writer.close()
    writer.close()


@pytest.mark.parametrize(("wildcard", "asked"), [("0.0.0.0", "127.0.0.7"), ("::", "::1")])
def test_answers_leave_from_the_address_that_was_asked(wildcard, asked):
    family = socket.AF_INET6 if ":" in wildcard else socket.AF_INET
    with (
        socket.socket(family, socket.SOCK_DGRAM) as sock,
        socket.socket(family, socket.SOCK_DGRAM) as client,
    ):
        sock.bind((wildcard, 0))
        sock.setblocking(False)
        server = DatagramSocket(sock)
        assert server.receive() is None
        client.connect((asked, sock.getsockname()[1]))  # takes answers from there only
        client.settimeout(5)
        client.send(b"question")
        datagram = server.receive()
        assert datagram.data == b"question"
        server.send([b"answer"] * 2, datagram.address, datagram.local)
        assert [client.recv(100) for _ in range(2)] == [b"answer"] * 2


def test_an_error_while_reading_is_no_datagram(writer):
    class Broken(Without):
        def recvfrom(self, *_):
            raise ConnectionRefusedError

    writer.socket = Broken(writer.socket, 0)
    assert writer.receive() is None
