"""Tests for edgeproxy/runtime/sockets.py: real sockets on loopback."""

import errno
import socket
import sys
from contextlib import ExitStack

import pytest

from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.sockets import bind_all, bind_shared, close_all, name_of

LOOPBACK = ("127.0.0.1", 0)


@pytest.fixture
def bound():
    """Everything bound in a test, closed behind it."""
    sockets = []

    def bind(*addresses):
        made = bind_all(addresses)
        sockets.extend(made)
        return made

    yield bind
    close_all(sockets)


def can_bind(address) -> bool:
    try:
        close_all(bind_all([address]))
    except UnavailableError:
        return False
    return True


def test_every_address_gets_its_socket_in_order(bound):
    first, second = bound(LOOPBACK, LOOPBACK)
    assert name_of(first)[0] == name_of(second)[0] == "127.0.0.1"
    assert len({0, name_of(first)[1], name_of(second)[1]}) == 3


def test_nobody_can_connect_before_a_listener_listens(bound):
    [sock] = bound(LOOPBACK)
    with socket.socket() as client, pytest.raises(ConnectionRefusedError):
        client.connect(name_of(sock))
    assert not sock.getblocking()


def test_connections_send_small_answers_at_once(bound):
    [sock] = bound(LOOPBACK)
    sock.listen()
    with socket.create_connection(name_of(sock)):
        accepted, _ = sock.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_ipv6_is_ipv6_only(bound):
    """So that `[::]` and `0.0.0.0` can both be listed, on one port."""
    if not socket.has_ipv6 or not can_bind(("::1", 0)):
        pytest.skip("no IPv6 on this machine")
    [v6] = bound(("::", 0))
    port = name_of(v6)[1]
    assert name_of(v6)[0] == "::"
    [v4] = bound(("0.0.0.0", port))
    assert name_of(v4) == ("0.0.0.0", port)


def test_a_port_is_free_again_as_soon_as_it_is_closed(bound):
    """A restart must not wait for the connections that the last process had."""
    [sock] = bound(LOOPBACK)
    address = name_of(sock)
    sock.listen()
    with socket.socket() as client:
        client.connect(address)
        accepted, _ = sock.accept()
        accepted.close()  # our end first: it is our port that stays in TIME_WAIT
        close_all([sock])
        assert name_of(bound(address)[0]) == address


def test_a_taken_port_is_named_and_nothing_stays_bound(bound):
    [taken] = bound(LOOPBACK)
    taken.listen()
    [free] = bound(LOOPBACK)
    address = name_of(free)
    close_all([free])
    with pytest.raises(UnavailableError) as caught:
        bind_all([address, name_of(taken)])
    host, port = name_of(taken)
    assert str(caught.value) == (
        f"cannot listen on {host}:{port}: the port is taken by another program"
    )
    assert can_bind(address)


@pytest.mark.parametrize(
    ("number", "why"),
    [
        (errno.EACCES, "ports below 1024 need privileges (CAP_NET_BIND_SERVICE)"),
        (errno.EADDRNOTAVAIL, "no interface of this machine has that address"),
        (errno.ENOBUFS, "No buffer space available"),
    ],
)
@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1:443"), ("::1", "[::1]:443")])
def test_the_operator_is_told_why(monkeypatch, number, why, host, shown):
    class Refusing(socket.socket):
        def bind(self, _address):
            raise OSError(number, "refused")

    monkeypatch.setattr(socket, "socket", Refusing)
    with pytest.raises(UnavailableError) as caught:
        bind_all([(host, 443)])
    assert str(caught.value) == f"cannot listen on {shown}: {why}"


@pytest.mark.skipif(sys.platform != "linux", reason="others have more loopback addresses or less")
def test_an_address_of_another_machine():
    with pytest.raises(UnavailableError, match="no interface of this machine has that address"):
        bind_all([("192.0.2.1", 0)])


def test_every_process_has_its_own_socket_of_each_address():
    one, other = bind_shared([("127.0.0.1", 0), ("127.0.0.1", 0)], 2)
    assert [name_of(sock) for sock in one] == [name_of(sock) for sock in other]
    assert name_of(one[0]) != name_of(one[1])
    one[0].listen()
    with pytest.raises(UnavailableError, match="taken by another program"):
        bind_shared([name_of(one[0])], 2)  # also where both would share
    close_all([*one, *other])


def test_any_port_is_one_that_is_free_over_udp_too():
    with ExitStack() as stack:
        for _ in range(500):  # of 300 ports chosen blindly some are among them
            taken = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            taken.bind(("127.0.0.1", 0))
        for _ in range(300):
            (sock,) = bind_all([("127.0.0.1", 0)])
            with sock, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as twin:
                twin.bind(sock.getsockname())
