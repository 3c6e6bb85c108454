"""Tests for edgeproxy/runtime/udp_sockets.py."""

import os
import socket

import pytest

from edgeproxy.errors import UnavailableError
from edgeproxy.quic.connection_ids import Naming
from edgeproxy.runtime.sockets import close_all, name_of
from edgeproxy.runtime.udp_sockets import bind_udp


@pytest.fixture
def bound():
    found = []

    def bind(addresses, count):
        processes = bind_udp(addresses, count)
        found.extend(sock for sockets in processes for sock in sockets)
        return processes

    yield bind
    close_all(found)


def who_got_it(processes):
    for number, (sock,) in enumerate(processes):
        try:
            sock.recv(2048)
        except BlockingIOError:
            continue
        return number
    return None


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_a_datagram_goes_to_the_worker_that_its_connection_id_names(bound, count):
    processes = bound([("127.0.0.1", 0)], count)
    address = name_of(processes[0][0])
    assert {name_of(sock) for (sock,) in processes} == {address}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for number in range(40):
            worker = number % count
            cid = Naming(worker, count).new()
            short = b"\x41" + cid + os.urandom(30)
            long = b"\xc1\x00\x00\x00\x01\x08" + cid + os.urandom(60)
            client.sendto(long if number % 3 else short, address)
            assert who_got_it(processes) == worker


def test_every_address_for_every_process(bound):
    processes = bound([("127.0.0.1", 0), ("::1", 0)], 2)
    assert [len(sockets) for sockets in processes] == [2, 2]
    assert name_of(processes[0][0]) == name_of(processes[1][0])
    assert name_of(processes[0][1]) == name_of(processes[1][1])
    assert not any(sock.getblocking() for sockets in processes for sock in sockets)


def test_a_port_that_is_taken_is_said(bound):
    ((sock,),) = bound([("127.0.0.1", 0)], 1)
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:\d+ \(UDP\): the port is taken"):
        bind_udp([("127.0.0.1", 0), name_of(sock)], 1)


def test_datagrams_are_never_fragmented(bound):
    ((sock,),) = bound([("127.0.0.1", 0)], 1)
    assert sock.getsockopt(socket.IPPROTO_IP, 10) == 3
