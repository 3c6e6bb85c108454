"""Tests for edgeproxy/runtime/http3_sockets.py; processes are in tests/protocol/test_http3."""

import socket

import pytest

from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.children import Child
from edgeproxy.runtime.http3_sockets import RETRY_SECONDS, Http3Sockets
from edgeproxy.runtime.link import link_pair
from edgeproxy.runtime.sockets import name_of
from tests.support.clock import ManualClock

ANY = ("127.0.0.1", 0)


@pytest.fixture
def workers():
    """Two children, and what each of them hears."""
    pairs = [link_pair(), link_pair()]
    yield (
        [Child(f"worker {n}", link=here) for n, (here, _) in enumerate(pairs)],
        [there for _, there in pairs],
    )
    for pair in pairs:
        for end in pair:
            end.close()


def given(link):
    """Return where the sockets are bound that a worker was told to read."""
    found = []
    for message, descriptor in link.received():
        assert message == {"do": "udp"}
        with socket.socket(fileno=descriptor) as sock:
            found.append(name_of(sock))
    return found


def test_each_worker_gets_its_own(workers):
    children, ends = workers
    sockets = Http3Sockets([ANY, ANY], 2, ManualClock().monotonic)
    sockets.open(is_late=True)
    assert not sockets.answers
    sockets.open()
    sockets.open()  # once is enough
    assert sockets.answers
    assert len(list(sockets.all())) == 4
    for index, child in enumerate(children):
        sockets.give(index, child)
    first, second = map(given, ends)
    assert first == second
    assert len(set(first)) == 2
    shares = [sockets.share(index) for index in (0, 1)]
    assert [(each.worker, each.workers) for each in shares] == [(0, 2), (1, 2)]
    assert shares[0].secrets is shares[1].secrets
    sockets.close()
    assert {each.fileno() for each in sockets.all()} == {-1}


def test_where_there_is_no_http3_nothing_is_bound_or_tried(workers):
    children, ends = workers
    sockets = Http3Sockets([], 2, ManualClock().monotonic)
    sockets.open()
    sockets.open_late(children)
    sockets.give(0, children[0])
    assert (list(sockets.all()), sockets.due, sockets.answers) == ([], None, False)
    assert given(ends[0]) == []
    sockets.close()


def test_what_another_program_still_holds_is_tried_again(workers, caplog):
    caplog.set_level("INFO")
    children, ends = workers
    clock = ManualClock()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(ANY)
        address = name_of(other)
        sockets = Http3Sockets([address], 2, clock.monotonic)
        with pytest.raises(UnavailableError, match="taken by another program"):
            sockets.open()
        for _ in range(3):
            sockets.open_late(children)
            assert sockets.due == clock.monotonic() + RETRY_SECONDS
            clock.advance(RETRY_SECONDS)
        assert caplog.text.count("no HTTP/3 yet") == 1
        sockets.open_late(children)  # the port is free only after this
    sockets.open_late(children)
    assert [given(each) for each in ends] == [[], []]  # not before it is due
    clock.advance(RETRY_SECONDS)
    sockets.open_late(children)
    assert [given(each) for each in ends] == [[address], [address]]
    assert sockets.due is None
    assert "HTTP/3 has been taken over, too" in caplog.text
    sockets.close()
