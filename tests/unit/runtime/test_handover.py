import array
import json
import os
import socket
from pathlib import Path

import pytest

from edgeproxy.runtime.handover import (
    DESCRIPTORS_MAX,
    MESSAGE_BYTES_MAX,
    VERSION,
    Line,
    LineBrokenError,
    LineEndedError,
    close_descriptors,
    line_path,
)


@pytest.fixture
def lines():
    pair = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for each in pair:
        each.setblocking(False)
    made = [Line(each) for each in pair]
    yield made
    for each in made:
        each.close()


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_is_said_is_heard_with_all_descriptors(lines):
    one, other = lines
    one.tell({"is": "sockets"}, [one.fileno()] * DESCRIPTORS_MAX)
    message, descriptors = other.hear()
    assert (message, len(descriptors)) == ({"version": VERSION, "is": "sockets"}, DESCRIPTORS_MAX)
    assert not any(os.get_inheritable(each) for each in descriptors)
    close_descriptors(descriptors)
    assert other.peer == (os.getpid(), os.geteuid())
    with pytest.raises(BlockingIOError):
        other.hear()


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"{", "no JSON"),
        (b"\xff", "no JSON"),
        (b"[]", "no object"),
        (json.dumps({"version": 2}).encode(), "of version 2, and not 1"),
        (json.dumps({"do": "take"}).encode(), "of version None"),
        (b" " * (MESSAGE_BYTES_MAX + 1), "too long"),
    ],
)
def test_what_cannot_be_understood_leaves_no_descriptor_open(lines, said, why):
    one, other = lines
    before = open_descriptors()
    rights = array.array("i", [one.fileno()]).tobytes()
    one.sock.sendmsg([said], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)])
    with pytest.raises(LineBrokenError, match=why):
        other.hear()
    assert open_descriptors() == before


def test_a_peer_that_is_gone_is_told_from_one_that_is_silent(lines):
    one, other = lines
    other.tell({"do": "take"})
    one.tell({"is": "refused"})
    one.close()  # with something unread: a reset, behind what it has said
    assert other.hear().message["is"] == "refused"
    with pytest.raises(LineEndedError):
        other.hear()
    with pytest.raises(LineEndedError):
        other.tell({"do": "drain"})


def test_its_path_fits_where_that_of_the_control_socket_does(tmp_path):
    assert line_path(tmp_path, "fra1") == tmp_path / "fra1.next"
