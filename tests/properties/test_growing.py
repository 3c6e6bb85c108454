"""Whoever reads growing content, from whenever on, gets it whole, wherever it is kept."""

import asyncio
import random

from hypothesis import given, settings
from hypothesis import strategies as st

from edgeproxy.edge import growing
from edgeproxy.edge.growing import GrowingBody
from edgeproxy.errors import StoreError
from tests.support.lower import Octets

CONTENT = random.Random(4).randbytes(600)

sizes = st.lists(st.integers(1, 60), min_size=1, max_size=30)
readers = st.lists(
    st.tuples(
        st.integers(0, 30),  # it comes before that piece
        st.none() | st.tuples(st.integers(0, 599), st.integers(0, 599)),  # what it wants
        st.integers(0, 5),  # so many turns it rests between two pieces
    ),
    max_size=6,
)


class Slow(Octets):
    """A spill that takes turns of the loop, and fails to write beyond `full`."""

    def __init__(self, turns: int, full: int | None) -> None:
        super().__init__()
        self.turns, self.full = turns, full

    async def write(self, pieces) -> None:
        for _ in range(self.turns):
            await asyncio.sleep(0)
        if self.full is not None and len(self.content) + sum(map(len, pieces)) > self.full:
            raise StoreError("no space")
        await super().write(pieces)

    async def read(self, position: int, size: int) -> bytes:
        for _ in range(self.turns):
            await asyncio.sleep(0)
        return await super().read(position, size)


async def collect(reader, rests: int) -> bytes:
    content = b""
    async for piece in reader:
        content += piece
        for _ in range(rests):
            await asyncio.sleep(0)
    return content


async def played(sizes, readers, *, spills_at, window, turns, full) -> None:
    whole = CONTENT[: sum(sizes)]
    body = GrowingBody(keep_bytes_max=10_000, window_bytes=window, on_abandoned=lambda: None)
    spill, asked = Slow(turns, full), []

    def come(number: int) -> None:
        for begins, span, rests in readers:
            if begins == number and body.is_keeping:
                reader, wanted = body.read(), whole
                if span is not None and min(span) < len(whole):
                    first, last = min(span), min(max(span), len(whole) - 1)
                    reader, wanted = reader.only(first, last), whole[first : last + 1]
                asked.append((asyncio.ensure_future(collect(reader, rests)), wanted))

    position = 0
    for number, size in enumerate(sizes):
        come(number)
        if number == spills_at:
            body.spill(spill, 10_000)
        chunk = whole[position : position + size]
        position += len(chunk)
        if not await body.append(chunk):
            break
    else:
        body.finish()
        is_kept = await body.written() is not None
        come(30)
        if is_kept:
            assert bytes(spill.content) == whole
    body.let_go()
    for task, wanted in asked:
        assert await task == wanted
    assert spill.is_closed or spills_at >= len(sizes)
    assert not body._readers


@settings(max_examples=300, deadline=None)
@given(
    sizes=sizes,
    readers=readers,
    spills_at=st.integers(0, 10),
    window=st.integers(1, 100),
    turns=st.integers(0, 3),
    full=st.none() | st.integers(0, 600),
)
def test_everybody_gets_the_whole(sizes, readers, spills_at, window, turns, full) -> None:
    before = growing.SPILL_BYTES, growing.READ_BYTES
    growing.SPILL_BYTES, growing.READ_BYTES = 50, 30
    try:
        asyncio.run(
            asyncio.wait_for(
                played(sizes, readers, spills_at=spills_at, window=window, turns=turns, full=full),
                20,
            )
        )
    finally:
        growing.SPILL_BYTES, growing.READ_BYTES = before
