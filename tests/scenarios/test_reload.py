"""What a reload changes under clients that stay connected, and what it leaves alone."""

import asyncio
import contextlib
import gc
import json
import logging
import re

import pytest

from edgeproxy.config.document import parse
from edgeproxy.config.load import judge, load_text
from edgeproxy.control.reloading import NotReloaded, Reloaded
from edgeproxy.edge.sites import Site
from edgeproxy.errors import ConfigError
from edgeproxy.origin.client import Origin
from edgeproxy.runtime.worker import PointOfPresence
from tests.support.barrier import Barrier, settle
from tests.support.h1_client import h1_client
from tests.support.h2_client import h2_client
from tests.support.pop import ENTRY, make_place, scripted_origin

PASS = ENTRY.replace('policy = "entry"', 'policy = "pass"')
RELOADS = 200


class PopOfText:
    """A running PoP whose configuration is text that may change."""

    def __init__(self, place, text: str) -> None:
        self.place = place
        self.text = text
        self.lines: list[str] = []
        self.worker = PointOfPresence(
            load_text(text, base=place.folder), read=self._read, access_log_sink=self.lines.append
        )

    def _read(self):
        return judge(parse(self.text, file="edge.toml", base=self.place.folder, environ={}))

    @property
    def port(self) -> int:
        return self.worker.https_addresses[0][1]

    def h2(self, name: str = "localhost"):
        return h2_client(self.port, self.place.ca.path, name=name)

    def h1(self, name: str = "localhost"):
        return h1_client(self.port, self.place.ca.path, name=name)

    async def reload(self, text: str):
        self.text = text
        return await self.worker.reload()

    async def reloaded(self, text: str) -> tuple[str, ...]:
        outcome = await self.reload(text)
        assert isinstance(outcome, Reloaded), outcome
        return outcome.changed


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


@pytest.fixture
async def origin(place):
    async with scripted_origin(place.ca) as scripted:
        scripted.on("GET", "/a").reply(200, b"hello")
        yield scripted


@pytest.fixture
async def pop(place, origin):
    pop = PopOfText(place, place.text(origin.url, rules=ENTRY))
    try:
        await pop.worker.start()
        yield pop
    finally:
        await pop.worker.aclose()


def with_host(pop, text: str, name: str, leaf, more: str = "") -> str:
    pair = f'cert = {{ chain = "{leaf.chain_path}", key = "{leaf.key_path}" }}'
    host = f'[[host]]\nname = "{name}"\norigin = "assets"\n{pair}\n{more}\n[log]'
    return text.replace("[log]", host)


async def test_nothing_new_changes_nothing(pop):
    site = pop.worker._served.sites.all[0]
    assert await pop.reloaded(pop.text) == ()
    assert pop.worker._served.sites.all[0] is site
    assert pop.worker.counters.reloads == {"reloaded": 1}


async def test_a_rule_decides_from_the_next_request_on_the_same_connection(pop, origin):
    entry = pop.text
    async with pop.h2() as client:
        await client.get("/a")
        assert (await client.get("/a"))["cache-status"].startswith("fra1; hit")
        assert await pop.reloaded(entry.replace(ENTRY, PASS)) == ("host",)
        for _ in range(2):
            assert "fwd=bypass" in (await client.get("/a"))["cache-status"]
        await pop.reloaded(entry)
        assert (await client.get("/a"))["cache-status"].startswith("fra1; hit")
    assert origin.requests == 3


async def test_a_pass_rule_is_no_hit_for_particular_requests_either(pop, origin):
    async with pop.h2() as client:
        etag = (await client.get("/a"))["etag"]
        await pop.reloaded(pop.text.replace(ENTRY, PASS))
        before = origin.requests
        await client.get("/a", [("if-none-match", etag)])
        await client.get("/a", [("range", "bytes=0-1")])
    assert origin.requests == before + 2


async def test_hsts_cors_and_fields_are_on_the_next_hit(pop):
    plain = pop.text
    page = ("origin", "https://page.example")
    cors = '[cors.pages]\norigins = "https://page.example"\nexpose = ["{}"]\n[[host]]'
    async with pop.h2() as client:
        await client.get("/a", [page])
        reply = await client.get("/a", [page])
        assert "strict-transport-security" not in dict(reply.fields)
        assert "access-control-allow-origin" not in dict(reply.fields)
        changed = plain.replace("[[host]]", "[hsts]\nmax_age = '1d'\n" + cors.format("x-one"), 1)
        changed = changed.replace('origin = "assets"', 'origin = "assets"\ncors = "pages"')
        await pop.reloaded(changed)
        reply = await client.get("/a", [page])
        assert reply["strict-transport-security"] == "max-age=86400; includeSubDomains"
        assert reply["access-control-expose-headers"] == "x-one"
        await pop.reloaded(changed.replace("x-one", "x-two"))
        assert (await client.get("/a", [page]))["access-control-expose-headers"] == "x-two"
        await pop.reloaded(plain)
        reply = await client.get("/a", [page])
        assert "access-control-allow-origin" not in dict(reply.fields)


async def test_a_host_comes_with_its_certificate_and_goes(pop, place):
    plain = pop.text
    leaf = place.ca.issue("other.example")
    await pop.reloaded(with_host(pop, plain, "other.example", leaf, ENTRY))
    async with pop.h2("other.example") as client, pop.h2() as first:
        assert (await client.get("/a")).status == 200
        assert len(pop.worker._front.identities) == 2
        await pop.reloaded(plain)
        assert (await client.get("/a")).status == 421
        assert (await first.get("/a")).status == 200
        assert [each.name for each in pop.worker._front.identities] == ["localhost"]


async def test_a_name_that_another_site_has_now_leads_there(pop, place, origin):
    leaf = place.ca.issue("other.example", "alias.example")
    two = with_host(pop, pop.text, "other.example", leaf, 'aliases = ["alias.example"]' + ENTRY)
    await pop.reloaded(two)
    origin.on("GET", "/b").reply(200, b"b")
    async with pop.h2("alias.example") as client:
        await client.get("/b")
        pair = f'cert = {{ chain = "{leaf.chain_path}", key = "{leaf.key_path}" }}'
        moved = two.replace('aliases = ["alias.example"]', "").replace(
            "[log]", f'[[host]]\nname = "alias.example"\norigin = "assets"\n{pair}\n{ENTRY}[log]'
        )
        await pop.reloaded(moved)
        assert "fwd=uri-miss" in (await client.get("/b"))["cache-status"]


async def test_another_origin_is_asked_and_the_old_one_finishes(pop, place, origin):
    first = origin.on("GET", "/long").reply(200, [b"a" * 1000, b"b" * 1000])
    first.pause(1, middle := Barrier())
    async with scripted_origin(place.ca) as second, pop.h2() as client, pop.h1() as old:
        second.on("GET", "/c").reply(200, b"second")
        second.on("GET", "/long").reply(200, b"new")
        old.send("GET", "/long")
        download = await old.reply()
        await middle.reached()
        retired = pop.worker._served.origins["assets"].origin
        assert await pop.reloaded(pop.text.replace(origin.url, second.url)) == ("origin",)
        assert (await client.get("/c")).body == b"second"
        assert (await client.get("/long")).body == b"new"  # nobody joins what was begun before
        assert retired._session is not None
        middle.open()
        assert len((await download.whole()).body) == 2000
        async with asyncio.timeout(30):
            while retired._session is not None or retired._closing:
                await settle()


async def test_limits_are_those_of_new_connections(pop, origin):
    async with pop.h1() as old:
        await pop.reloaded(pop.text.replace("[limits]", "[limits]\nmax_url_bytes = '64B'"))
        target = "/a?" + "x" * 100
        origin.on("GET", target).reply(200, b"long")
        assert (await old.get(target)).status != 414
        async with pop.h1() as new:
            assert (await new.get(target)).status == 414
            await pop.reloaded(pop.text.replace("max_url_bytes = '64B'", "max_connections = 1"))
            assert (await old.get("/a")).status == 200
            reader, writer = await asyncio.open_connection("127.0.0.1", pop.port)
            with contextlib.suppress(ConnectionResetError):
                assert await reader.read() == b""
            writer.close()
            [listener] = pop.worker._listeners
            assert listener.refusals == {"connections_max": 1}


async def test_memory_shrinks_at_once_and_grows(pop, origin):
    async with pop.h2() as client:
        for number in range(10):
            origin.on("GET", f"/{number}").reply(200, bytes(20_000))
            await client.get(f"/{number}")
        assert pop.worker.store.objects == 10
        small = '[cache.memory]\nsize = "64KiB"\nmax_object = "32KiB"\n[log]'
        text = pop.text
        await pop.reloaded(text.replace("[log]", small))
        assert pop.worker.store.bytes <= pop.worker.store.bytes_max == 65_536
        assert (await client.get("/9"))["cache-status"].startswith("fra1; hit")
        await pop.reloaded(text)
        await client.get("/0")
        assert pop.worker.store.bytes_max == 256 * 2**20


async def test_the_log_and_its_level(pop):
    logger = logging.getLogger("edgeproxy")
    kept = logger.handlers[:], logger.level, logger.propagate
    try:
        text = pop.text
        await pop.reloaded(text.replace('level = "warning"', 'level = "debug"'))
        assert logger.level == logging.DEBUG
        await pop.reloaded(text.replace("enabled = false", "enabled = true"))
        async with pop.h2() as client:
            await client.get("/a")
            await pop.reloaded(text)
            await client.get("/a")
        await pop.worker._access_log.aclose()
        assert [json.loads(line)["path"] for line in "".join(pop.lines).splitlines()] == ["/a"]
    finally:
        logger.handlers[:], logger.level, logger.propagate = kept


async def test_groups_and_unknown_names(pop):
    text = pop.text.replace("[[host]]", '[tls]\nunknown_sni = "reject"\n[[host]]', 1)
    assert await pop.reloaded(text) == ("tls",)
    with pytest.raises(OSError, match=r"(?i)unrecognized name"):
        async with pop.h1("unknown.example"):
            pytest.fail("connected")


async def test_a_certificate_that_lacks_its_staple_replaces_none(pop, place):
    leaf = place.ca.issue("localhost", must_staple=True)
    old = f'chain = "{place.leaf.chain_path}", key = "{place.leaf.key_path}"'
    new = f'chain = "{leaf.chain_path}", key = "{leaf.key_path}"'
    assert old in pop.text
    before = pop.worker._front.identities
    outcome = await pop.reload(pop.text.replace(old, new))
    assert "must be stapled" in outcome.problems[0].message
    assert pop.worker._front.identities == before


FAULTS = {
    "a misspelt key": ("[limits]", "[limits]\nidle_timout = '5s'", r"idle_timout: unknown key"),
    "no TOML": ("[limits]", "[limits", r"not TOML"),
    "a missing certificate": ('chain = "', 'chain = "/nowhere', r"there is no file /nowhere"),
    "a name without": ('name = "localhost"', 'name = "b.example"', r"no certificate covers"),
    "listen": ("127.0.0.1:0", "127.0.0.1:1", r"listen\.https: cannot change"),
    "name": ('"fra1"', '"fra2"', r"pop\.name: cannot change"),
    "state": ('"state"', '"elsewhere"', r"pop\.state_dir: cannot change"),
    "disk": (
        "[log]",
        "[cache.disk]\npath = '/var/x'\nsize = '64MiB'\n[log]",
        r"cache\.disk: cannot",
    ),
    "tickets": ("[log]", "[tls]\nticket_lifetime = '0s'\n[log]", r"tls\.ticket_lifetime: cannot"),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_what_cannot_be_used_changes_nothing_and_says_where(pop, fault, caplog):
    old, new, message = FAULTS[fault]
    assert old in pop.text
    served = pop.worker._served
    bad = pop.text.replace(old, new, 1)
    outcome = await pop.reload(bad.replace(ENTRY, PASS))
    assert isinstance(outcome, NotReloaded)
    [problem] = outcome.problems
    assert re.search(message, str(problem)), str(problem)
    assert str(problem).startswith("edge.toml:")
    assert str(problem) in caplog.text
    assert pop.worker._served is served
    assert pop.worker.counters.reloads == {"refused": 1}
    async with pop.h2() as client:
        await client.get("/a")
        assert (await client.get("/a"))["cache-status"].startswith("fra1; hit")


async def test_authorities_that_are_none_refuse(pop, place):
    (place.folder / "bad.pem").write_text("nothing")
    outcome = await pop.reload(pop.text.replace(str(place.ca.path), str(place.folder / "bad.pem")))
    assert "origin.assets.tls.ca_file" in str(outcome.problems[0])


async def test_prepare_alone_changes_nothing(pop):
    served = pop.worker._served
    config = load_text(pop.text.replace(ENTRY, PASS), base=pop.place.folder)
    prepared = await pop.worker.prepare(config)
    assert (prepared.changed, pop.worker._served) == (("host",), served)
    moved = pop.text.replace('"fra1"', '"fra2"')
    with pytest.raises(ConfigError, match=r"pop\.name: cannot change"):
        await pop.worker.prepare(load_text(moved, base=pop.place.folder))


async def test_a_fault_of_ours_is_an_answer(pop, monkeypatch):
    def fail():
        raise RuntimeError("no")

    monkeypatch.setattr(pop.worker._reloading, "_read", fail)
    outcome = await pop.worker.reload()
    assert "internal" in outcome.problems[0].message
    assert pop.worker.counters.reloads == {"failed": 1}


async def test_two_hundred_reloads_under_load(pop, place, origin):
    pieces = [bytes([number]) * 2**16 for number in range(64)]
    origin.on("GET", "/large").reply(200, pieces).pause(32, middle := Barrier())
    texts = [pop.text, pop.text.replace(ENTRY, PASS).replace("retries = 1", "")]
    texts.append(with_host(pop, pop.text, "other.example", place.ca.issue("other.example")))
    texts.append(pop.text.replace("[origin.assets]", "[origin.assets]\nretries = 0"))
    stop, statuses = asyncio.Event(), []

    async def ask(client) -> None:
        while not stop.is_set():
            statuses.append((await client.get("/a")).status)

    async with pop.h2() as one, pop.h2() as two, pop.h1() as old:
        old.send("GET", "/large")
        download = await old.reply()
        await middle.reached()
        for text in texts:
            await pop.reloaded(text)
        before = _living()
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(one))
            group.create_task(ask(two))
            for number in range(RELOADS):
                await pop.reloaded(texts[number % len(texts)])
            stop.set()
        middle.open()
        assert (await download.whole()).body == b"".join(pieces)
        await one.get("/a")
        await two.get("/a")
        await pop.reloaded(texts[0])
        await settle()
        after = _living()
    assert set(statuses) == {200}
    assert all(after[kind] <= before[kind] + 3 for kind in after), (before, after)


def _living() -> dict[str, int]:
    gc.collect()
    objects = gc.get_objects()
    return {
        "tasks": len(asyncio.all_tasks()),
        "origins": sum(type(each) is Origin for each in objects),
        "sites": sum(type(each) is Site for each in objects),
    }
