"""Tests for edgeproxy/runtime/correspondent.py; what it says to a roster is in test_roster.py."""

from edgeproxy.runtime.channel import channel_pair
from edgeproxy.runtime.correspondent import Correspondent
from tests.support.barrier import settle


async def test_a_word_that_means_nothing_costs_only_itself(caplog):
    worker = Correspondent(None)
    one, other = channel_pair()
    worker.connect(other.detach())
    await settle()
    worker._channel._handle({"say": "what?"})
    assert "a message between processes was not understood" in caplog.text
    assert worker._channel.is_open
    await worker.aclose()
    one.close()
