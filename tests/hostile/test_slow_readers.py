"""Peers that take little of what they asked for, over real sockets: what they may still do, and
what they cost.
"""

import asyncio
import fcntl
import socket
import struct
from contextlib import contextmanager

import pytest

from edgeproxy.listeners.connection import Connection
from edgeproxy.runtime.sockets import UNSENT_IN_KERNEL_BYTES
from tests.support.barrier import settle
from tests.support.pop import ENTRY, running_pop

SIOCOUTQNSD = 0x894B
LARGE = bytes(12 * 2**20)  # more than the kernel keeps for both ends of a loopback connection


@pytest.fixture
async def pop(tmp_path):
    async with running_pop(tmp_path, rules=ENTRY) as pop:
        pop.origin.on("GET", "/large").reply(200, LARGE, etag='"1"')
        pop.origin.on("GET", "/asked").reply(200, b"x")
        async with pop.h2(window=2**30) as client:
            assert len((await client.get("/large")).body) == len(LARGE)
        yield pop


async def stuck(pop) -> Connection:
    """Wait until the one connection that there is can send no more."""
    await pop.connected(1)
    (connection,) = pop.worker._listeners[0]._connections
    before = -1
    while not connection.is_paused or connection.unsent_bytes != before:
        before = connection.unsent_bytes
        await settle(20)
    return connection


def not_sent(connection: Connection) -> int:
    """How much the kernel holds that has not left for the peer yet."""
    sock = connection._transport.get_extra_info("socket")
    return struct.unpack("i", fcntl.ioctl(sock.fileno(), SIOCOUTQNSD, bytes(4)))[0]


@contextmanager
def reading_nothing(client):
    """Let a client take nothing from its connection any more, until the block ends."""
    sock = client._writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # or the kernel lets it grow
    is_over = asyncio.Event()

    async def read(_size: int) -> bytes:
        await is_over.wait()
        return b""

    client._reader.read = read
    try:
        yield
    finally:
        is_over.set()


async def test_a_peer_that_has_stopped_to_read_is_still_heard(pop):
    async with pop.h2(window=2**30) as client, asyncio.timeout(20):
        with reading_nothing(client):
            client.send("GET", "/large")
            await stuck(pop)
            client.send("GET", "/asked")
            await pop.origin.asked_for(2)


async def test_the_kernel_holds_little_of_what_is_not_read(pop):
    async with pop.h2(window=2**30) as client, asyncio.timeout(20):
        with reading_nothing(client):
            client.send("GET", "/large")
            connection = await stuck(pop)
            assert 0 < not_sent(connection) < 2 * UNSENT_IN_KERNEL_BYTES
