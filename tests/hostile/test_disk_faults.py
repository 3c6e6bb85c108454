"""Whatever becomes of the disk under a running PoP of two workers: no request fails, and it shows.

Each fault is counted under its reason (`edge_disk_faults`), told in the log once per process, and
over when its cause is.
"""

import asyncio
import json
import os
import re
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.support.mounts import change_mounts, need_mounts, with_mount
from tests.support.operators import scrape
from tests.support.runs.clients import Clients, ask, check
from tests.support.runs.content import Thing
from tests.support.runs.place import make_ground
from tests.support.served import PATIENCE_SECONDS, attended, run

# Memory holds some of these and never all: the rest is asked of the disk.
SIZE = 60_000
MEMORY = "400KiB"
THINGS = [Thing("fixed", number, SIZE) for number in range(8)]


@dataclass
class Scene:
    """A ground with an origin, and the PoP that runs on it now."""

    ground: object
    origin: object
    edge: object = None
    said: list[str] = field(default_factory=list)
    _fresh: int = 1000

    @asynccontextmanager
    async def pop(self, prefix=()):
        """Run a PoP until the block ends, in order."""
        async with attended(self.ground.config, prefix) as self.edge:
            yield
            self.edge.terminate()
            assert await self.edge.left() == 0
        self.said = [
            json.loads(line)["message"] for line in self.edge.said.splitlines() if line[:1] == "{"
        ]

    async def ask(self, things=THINGS):
        """Ask over several connections, which are dealt out to both workers; all must be right."""
        clients = Clients(self.ground.port, self.ground.ca.path)

        async def one(protocol):
            async with clients.connection(protocol) as client:
                for thing in things:
                    check(thing, await ask(client, thing.path))

        async with asyncio.TaskGroup() as group:
            for protocol in ("h1", "h2", "h1"):
                group.create_task(one(protocol))

    async def ask_new(self, count=2):
        """Ask for what nobody has asked for yet."""
        self._fresh += count
        await self.ask([Thing("fixed", self._fresh + each, SIZE) for each in range(count)])

    async def faults(self) -> dict[str, float]:
        numbers = await scrape(self.ground.metrics_port)
        pattern = r"edge_disk_faults_total\{reason=(\w+)\}"
        return {re.fullmatch(pattern, k)[1]: v for k, v in numbers.items() if "disk_faults_t" in k}

    async def on_disk(self) -> int:
        return int((await scrape(self.ground.metrics_port))["edge_cache_objects{tier=disk}"])

    async def until_counted(self, *reasons: str, things=()):
        """Ask until one of these is counted."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not set(reasons) & set(await self.faults()):
                await (self.ask(things) if things else self.ask_new())

    async def until_stored(self):
        """Ask for new things until the disk takes them."""
        before = await self.on_disk()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await self.on_disk() <= before:
                await self.ask_new()

    async def until_it_works(self):
        """Ask for new things until the disk takes them, and who had found it broken says so."""
        await self.until_stored()
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "works again" not in self.edge.said:
                await self.ask_new()

    def told(self, pattern: str, *, most: int = 2) -> None:
        """See that the log told, once per worker."""
        lines = [line for line in self.said if re.search(pattern, line)]
        assert 1 <= len(lines) <= most, self.said

    async def agrees(self) -> None:
        """See that index and files do."""
        code, said, err = await run("cache", "verify", "-c", self.ground.config, "--json")
        assert code == 0, said + err


@pytest.fixture
async def scene(tmp_path):
    ground = make_ground(tmp_path)
    async with ground.origin() as origin:
        ground.configure(origin.url, memory=MEMORY, max_object="128KiB")
        ground.cache.mkdir()
        yield Scene(ground, origin)


async def test_a_full_file_system_stores_nothing_until_there_is_room(scene):
    need_mounts()
    mount = ("-t", "tmpfs", "-o", "size=3m", "none")
    async with scene.pop(with_mount(scene.ground.cache, *mount)):
        await scene.ask()
        await scene.until_counted("no_space")
        await scene.ask()
        change_mounts(scene.edge.pid, "mount", "-o", "remount,size=64m", str(scene.ground.cache))
        await scene.until_it_works()
    scene.told("no_space")
    scene.told("works again")


async def test_a_folder_that_may_not_be_written_is_used_when_it_may(scene):
    need_mounts()
    cache = str(scene.ground.cache)
    async with scene.pop():
        await scene.ask()
    async with scene.pop(with_mount(scene.ground.cache, "--bind", "-o", "ro", cache)):
        await scene.ask()
        assert "read_only" in await scene.faults()
        change_mounts(scene.edge.pid, "mount", "-o", "remount,bind,rw", cache)
        await scene.until_it_works()
    scene.told("read_only")
    scene.told("works again")
    await scene.agrees()


async def test_a_folder_that_is_covered_for_a_while_comes_back(scene):
    need_mounts()
    cache = str(scene.ground.cache)
    async with scene.pop(with_mount(scene.ground.cache, "--bind", cache)):
        await scene.ask()
        change_mounts(scene.edge.pid, "mount", "-t", "tmpfs", "-o", "ro", "none", cache)
        await scene.until_counted("read_only", "replaced")
        await scene.ask()
        change_mounts(scene.edge.pid, "umount", cache)
        await scene.until_it_works()
    scene.told("going on without")
    scene.told("works again")
    await scene.agrees()


async def test_bodies_that_cannot_be_reached_are_asked_of_the_origin(scene):
    bodies = scene.ground.cache / "bodies"
    async with scene.pop():
        await scene.ask()
        bodies.rename(bodies.with_name("away"))
        bodies.symlink_to("bodies")  # a loop: an I/O error for whoever follows it
        await scene.until_counted("io", things=THINGS)
        await scene.ask()
        bodies.unlink()
        bodies.with_name("away").rename(bodies)
        await scene.until_it_works()
    scene.told("going on without")
    scene.told("works again")
    await scene.agrees()


async def test_files_that_are_deleted_or_altered_are_fetched_again(scene):
    async with scene.pop():
        await scene.ask()
        files = [each for each in scene.ground.cache.glob("bodies/*/*/*") if each.is_file()]
        for number, path in enumerate(sorted(files)):
            if number % 3 == 0:
                path.unlink()
            elif number % 3 == 1:
                content = bytearray(path.read_bytes())
                content[SIZE // 2] ^= 1
                path.write_bytes(content)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not {"missing_file", "digest"} <= set(await scene.faults()):
                await scene.ask()
        for _ in range(2):
            await scene.ask()
        await scene.until_stored()
    await scene.agrees()


def garbage(path):
    path.write_bytes(b"nothing that anybody could read" * 1000)


def truncated(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def emptied(path):
    with path.open("r+b") as file:
        file.truncate(0)


def of_another_version(path):
    with path.open("r+b") as file:
        file.seek(60)  # where the format of SQLite has it
        file.write((99).to_bytes(4, "big"))


def without_its_log(path):
    path.with_name(f"{path.name}-wal").unlink(missing_ok=True)
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)


CORRUPTIONS = [garbage, truncated, emptied, of_another_version, without_its_log]
# A start takes a second and a half: `make soak` tries them all.
AT_A_START = CORRUPTIONS if os.environ.get("EDGEPROXY_EVERY_FAULT") else [garbage, without_its_log]


async def test_an_index_that_is_corrupt_at_a_start_is_begun_anew(scene):
    async with scene.pop():
        await scene.ask()
    for corrupt in AT_A_START:
        corrupt(scene.ground.cache / "index.sqlite")
        async with scene.pop():
            await scene.ask()
            await scene.until_stored()
    await scene.agrees()


async def test_an_index_that_is_corrupted_meanwhile_is_begun_anew(scene):
    async with scene.pop():
        await scene.ask()
        for corrupt in CORRUPTIONS:
            corrupt(scene.ground.cache / "index.sqlite")
            await scene.ask()
            await scene.until_stored()
    async with scene.pop():
        await scene.ask()
        await scene.until_stored()
    await scene.agrees()
