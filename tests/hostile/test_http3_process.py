"""A running worker that strangers send datagrams to, with a good client of HTTP/3 beside them.

Every attack is bounded in count. What single connections hold is shown in `tests/unit/quic` and
`test_h3_floods.py`; here the process has to stay small, and to serve.
"""

import asyncio
import os
import random
from collections.abc import Iterator
from contextlib import asynccontextmanager

import pytest

from tests.support.ngtcp2_client import Ngtcp2Client
from tests.support.pop import ENTRY, make_place, scripted_origin
from tests.support.quic_endpoint import Stranger, first_flight
from tests.support.served import served

GROWTH_BYTES = 48 << 20
"""2048 half-open connections of some 70 KB would be thrice this; one household gets 256."""


def garbage() -> Iterator[bytes]:
    dice = random.Random(9114)
    for _ in range(3000):
        yield dice.randbytes(dice.randrange(1, 1400))


def cut_first_packets() -> Iterator[bytes]:
    first = first_flight(server_name="localhost")[0]
    for size in range(1, len(first), 4):
        yield first[:size]


def broken_first_packets() -> Iterator[bytes]:
    first = first_flight(server_name="localhost")[0]
    for place in range(0, len(first), 3):
        yield first[:place] + bytes([first[place] ^ 0xFF]) + first[place + 1 :]


def half_open() -> Iterator[bytes]:
    for _ in range(400):
        yield from first_flight(server_name="localhost")


def other_versions() -> Iterator[bytes]:
    first = first_flight(server_name="localhost")[0]
    for _ in range(2000):
        yield first[:1] + b"\x1a\x2a\x3a\x4a" + first[5:6] + os.urandom(8) + first[14:]


@asynccontextmanager
async def running(tmp_path):
    place = make_place(tmp_path)
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/a").reply(200, b"x" * 20_000, cache_control="max-age=600")
        text = place.text(origin.url, rules=ENTRY, listen="http3 = true")
        text = text.replace('level = "warning"', 'level = "info"')
        (tmp_path / "edge.toml").write_text(text)
        async with served(tmp_path / "edge.toml") as edge:
            yield edge


@pytest.mark.parametrize(
    "attack", [garbage, cut_first_packets, broken_first_packets, half_open, other_versions]
)
async def test_strangers_neither_end_nor_fill_a_worker(tmp_path, attack):
    async with running(tmp_path) as edge:
        url = f"https://localhost:{edge.port}/a"
        with Ngtcp2Client() as client, Stranger(("127.0.0.1", edge.port)) as stranger:
            assert (await asyncio.to_thread(client.get, url)).status == 200
            before = edge.resident_bytes
            for number, datagram in enumerate(attack()):
                stranger.say(datagram)
                if number % 200 == 0:
                    answer = await asyncio.to_thread(client.get, url)
                    assert (answer.status, answer.body) == (200, b"x" * 20_000)
            assert (await asyncio.to_thread(client.get, url)).status == 200
            assert client.connects == 1
            assert edge.resident_bytes - before < GROWTH_BYTES
        edge.terminate()
        assert await edge.ended() == 0
        assert "Traceback" not in edge.said
