"""Attackers with keys, over QUIC, against one running worker that also serves good clients.

What each says is what `python -m bench.floods` measures; here each is bounded in packets, comes
from a household of its own, and has to leave the worker alive, small and serving: a client of
HTTP/3 and one of HTTP/2 ask beside it, all through. What one connection may do to the engine is in
`unit/quic`; what a client beside a flood waits, in milliseconds, is told by the bench and not here.
"""

import asyncio
import random
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import pytest_asyncio

from bench.compare.servers import free_port
from bench.floods.attacks import HIT, LARGE
from bench.floods.quic_attacker import QuicAttacker
from bench.floods.quic_attacks import BORNE, BROKEN, DEAR, IDLE_FRAMES, repeated
from bench.floods.quic_peer import QuicAttack
from tests.support.h2_client import H2Client, h2_client
from tests.support.h3_client import H3Client, h3_client
from tests.support.pop import make_place, scripted_origin
from tests.support.quic_endpoint import Stranger
from tests.support.served import Served, attended

pytestmark = pytest.mark.asyncio(loop_scope="module")

ATTACKER = "127.0.0.66"
CONNECTIONS = 4
PATIENCE_SECONDS = 30
PACKETS = 150
"""Of each connection, where the worker does not end it before."""
FEW_PACKETS = 20
SLOW = {
    "silent reader with PING": 20,
    "fast reader that falls silent": 30,
    "shut windows": 50,
    "slow body": 150,
}
"""Those that wait between their packets need fewer."""
GROWTH_BYTES = CONNECTIONS * 2 * (2 << 20) + (16 << 20)
"""The 2 MiB that each connection may have under way (docs/design/quic.md) twice, with what it takes
to remember its packets, and what the worker itself needs in the course of all these tests."""

FAULTS = re.compile(r"/edgeproxy/(quic|listeners|wire|edge)/")
"""A traceback through what attacks go through."""

RULES = """
[[host.rule]]
id = "versioned"
path = "/v{semver}/**"
policy = "versioned"
"""
SMALL, MEGABYTE = b"x" * 1024, b"x" * 1_048_576


@dataclass
class Site:
    """A worker and its good clients; `resident` is what the worker held before any attack."""

    edge: Served
    h3: H3Client
    h2: H2Client
    resident: int = 0

    @property
    def worker(self) -> Path:
        tasks = Path(f"/proc/{self.edge.pid}/task/{self.edge.pid}/children").read_text("ascii")
        for pid in tasks.split():
            if Path(f"/proc/{pid}/comm").read_text().startswith("edge worker"):
                return Path(f"/proc/{pid}")
        raise AssertionError("no worker")

    @property
    def resident_bytes(self) -> int:
        found = re.search(r"VmRSS:\s+(\d+) kB", (self.worker / "status").read_text())
        return int(found[1]) * 1024

    async def serves(self) -> None:
        """Both good clients get what they ask for."""
        reply = await self.h3.get(HIT.decode())
        assert (reply.status, bytes(reply.body)) == (200, SMALL)
        reply = await self.h2.get(HIT.decode())
        assert (reply.status, bytes(reply.body)) == (200, SMALL)
        self.h3.replies.clear()
        self.h2.replies.clear()

    @asynccontextmanager
    async def beside(self, attack: QuicAttack, packets: int | None = None):
        """Attack, and serve; yields the attacker when all is said, its connections still open."""
        few = replace(attack, connections=CONNECTIONS)
        attacker = QuicAttacker(self.edge.port, few, ATTACKER, steps_max=packets, is_stubborn=False)
        worker = self.worker
        try:
            attacking = asyncio.ensure_future(asyncio.to_thread(attacker.run, PATIENCE_SECONDS))
            served = 0
            while not attacking.done():
                await self.serves()
                served += 1
            await attacking
            assert served
            await self.serves()
            assert self.worker == worker
            assert self.resident_bytes - self.resident < GROWTH_BYTES
            yield attacker
        finally:
            attacker.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pop")
    place = make_place(folder)
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", HIT.decode()).reply(200, SMALL)
        origin.on("GET", LARGE.decode()).reply(200, MEGABYTE)
        text = place.text(origin.url, rules=RULES, listen="http3 = true", port=free_port())
        text = text.replace('level = "warning"', 'level = "info"')
        (folder / "edge.toml").write_text(text)
        async with (
            attended(folder / "edge.toml") as edge,
            h3_client(edge.port) as h3,
            h2_client(edge.port, place.ca.path) as h2,
        ):
            found = Site(edge, h3, h2)
            assert len((await h3.get(LARGE.decode())).body) == len(MEGABYTE)
            await found.serves()
            found.resident = found.resident_bytes
            yield found
            origin._unscripted.clear()  # what misses ask for has no answer
            edge.terminate()
            assert await edge.left() == 0
            assert not FAULTS.search(edge.said)


def is_named(attack: QuicAttack) -> str:
    return attack.name


@pytest.mark.parametrize("attack", BROKEN, ids=is_named)
async def test_what_is_ended_for_what_it_says(site, attack):
    async with site.beside(attack) as attacker:
        assert {peer.ended.partition(" ")[0] for peer in attacker.peers} == {attack.ends}


@pytest.mark.parametrize("name", IDLE_FRAMES)
async def test_frames_that_move_nothing(site, name):
    attack = QuicAttack(name, repeated(IDLE_FRAMES[name]))
    async with site.beside(attack) as attacker:
        assert {peer.ended for peer in attacker.peers} == {"0x1 too many control frames"}


@pytest.mark.parametrize("attack", BORNE, ids=is_named)
async def test_what_goes_on_costs_little(site, attack):
    async with site.beside(attack, SLOW.get(attack.name, PACKETS)) as attacker:
        assert {peer.ended for peer in attacker.peers} == {""}


@pytest.mark.parametrize("attack", DEAR, ids=is_named)
async def test_what_costs_more_goes_beside_others(site, attack):
    """How much of it, and how long others wait, is for the bench to say."""
    async with site.beside(attack, FEW_PACKETS):
        pass


async def test_who_watches_a_connection_can_neither_end_nor_take_it(site):
    """Forged packets to a good client's connection ID, and its own again, from another address."""
    seen: list[bytes] = []
    transmit, good = site.h3._transport.sendto, site.h3.quic

    def watched(data: bytes, address: object) -> None:
        seen.append(data)
        transmit(data, address)

    site.h3._transport.sendto = watched
    try:
        with Stranger(("127.0.0.1", site.edge.port), ATTACKER) as stranger:
            dice = random.Random(9000)
            for size in range(25, 1225, 4):
                first = bytes((0x40 | dice.getrandbits(6),))
                stranger.say(first + good._peer_cid.cid + dice.randbytes(size))
                if size % 100 == 1:
                    await site.serves()
                    stranger.say(*seen[-20:])
            await site.serves()
            assert stranger.heard() == []
            assert not site.h3.terminated.done()
    finally:
        site.h3._transport.sendto = transmit
