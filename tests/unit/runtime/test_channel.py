import asyncio

import pytest

from edgeproxy.runtime import channel
from edgeproxy.runtime.channel import FrameError, Frames, channel_pair, frame, open_channel


def test_frames_arrive_in_any_pieces():
    sent = [{"say": "ask"}, {"say": "forget", "keys": ["é"]}]
    data = b"".join(map(frame, sent))
    for size in (1, 7, len(data)):
        frames, got = Frames(), []
        for at in range(0, len(data), size):
            got += frames.feed(data[at : at + size])
        assert got == sent


@pytest.mark.parametrize(
    "data", [b"\x00\x00\x00\x02\x02{}", b"\xff\x00\x00\x02\x01{}", b"\x00\x00\x00\x02\x01[]"]
)
def test_what_is_no_frame_is_refused(data):
    with pytest.raises(FrameError):
        list(Frames().feed(data))


def test_a_frame_is_bounded(monkeypatch):
    monkeypatch.setattr(channel, "FRAME_BYTES_MAX", 10)
    with pytest.raises(FrameError, match="octets"):
        frame({"say": "x" * 10})


async def both_ends(on_message=print):
    lost = asyncio.Event()
    one, other = channel_pair()
    here = await open_channel(one.detach(), on_message, lost.set)
    there = await open_channel(other.detach(), lambda _message: None, lambda: None)
    return here, there, lost


async def test_a_message_that_fails_costs_only_itself(caplog):
    got: asyncio.Queue[dict] = asyncio.Queue()

    def take(message):
        if message["say"] == "bad":
            raise ValueError("no")
        got.put_nowait(message)

    here, there, lost = await both_ends(take)
    there.send({"say": "bad"})
    there.send({"say": "good"})
    assert await got.get() == {"say": "good"}
    assert "was not understood" in caplog.text
    there.close()
    await lost.wait()
    assert not here.is_open
    here.send({"say": "nobody hears it"})


async def test_garbage_ends_a_channel(caplog):
    here, there, lost = await both_ends()
    there._transport.write(b"\xff" * 5)
    await lost.wait()
    assert "is broken" in caplog.text
    assert not here.is_open
    there.close()


async def test_who_takes_nothing_loses_its_channel(monkeypatch, caplog):
    monkeypatch.setattr(channel, "UNSENT_BYTES_MAX", 2**20)
    here, there, lost = await both_ends()
    there._transport.pause_reading()
    for _ in range(8):
        here.send({"say": "x" * 2**20})
    await lost.wait()
    assert "takes no messages any more" in caplog.text
    there.close()
