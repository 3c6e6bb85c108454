import os

import pytest

from edgeproxy.runtime.link import LinkEndedError, link_pair


def test_messages_and_descriptors_arrive_in_order():
    here, there = link_pair()
    reader, writer = os.pipe()
    assert here.send({"do": "drain"})
    assert here.send({"do": "channel"}, writer)
    os.close(writer)
    (first, nothing), (second, descriptor) = there.received()
    assert (first, nothing, second) == ({"do": "drain"}, None, {"do": "channel"})
    os.write(descriptor, b"x")
    assert os.read(reader, 1) == b"x"
    os.close(descriptor)
    os.close(reader)
    here.close()
    with pytest.raises(LinkEndedError):
        list(there.received())
    assert not there.send({"do": "drain"})
    there.close()


def test_a_full_link_says_so_and_does_not_block():
    here, there = link_pair()
    while here.send({"do": "state"}):
        pass
    here.close()
    there.close()
