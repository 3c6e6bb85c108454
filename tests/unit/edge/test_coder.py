import asyncio
import threading
import zlib
from dataclasses import replace

import pytest

from edgeproxy.cache.codings import Offer
from edgeproxy.cache.stored import DerivedBody, LargeBody
from edgeproxy.edge import coder as module
from edgeproxy.edge.coder import Coder, body_to_code, check_acceptable
from edgeproxy.edge.lookup import Route
from edgeproxy.errors import CodingError, DownstreamError
from edgeproxy.http.messages import first
from edgeproxy.observe.counters import Counters
from edgeproxy.store.memory import MemoryStore
from tests.support.coded import CODE
from tests.support.edge import make_pop, rule
from tests.support.stored import stored

TEXT = b"let x = 1;\n" * 1000
FIELDS = [(b"content-type", b"text/javascript"), (b"etag", b'"1"')]
POP = make_pop(rule(codings=(b"br", b"gzip")))


def route() -> Route:
    return POP.edge._lookup.site_routes(POP.request()).route(b"/a")


def asking(accepted: str):
    return POP.request(accept_encoding=accepted)


class Place:
    def __init__(self) -> None:
        self.store, self.counters = MemoryStore(1 << 24, 1 << 22), Counters()
        self.coder = Coder(self.store, self.counters)
        self.kept = stored(body=TEXT, fields=FIELDS)
        self.store.put(self.kept)

    async def view(self, accepted: str):
        return await self.coder.view(asking(accepted), route(), self.kept)


@pytest.fixture
async def place():
    place = Place()
    yield place
    await place.coder.aclose()


async def test_what_is_there_is_not_waited_for(place) -> None:
    view = await place.view("identity")
    assert (view.body, place.counters.codings) == (TEXT, {})


async def test_all_who_ask_meanwhile_get_what_is_made_once(place) -> None:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(place.view("gzip")) for _ in range(20)]
    bodies = {task.result().body for task in tasks}
    assert [zlib.decompress(body, 31) for body in bodies] == [TEXT]
    assert place.counters.codings["identity gzip fast"] == 1
    assert zlib.decompress((await place.view("gzip")).body, 31) == TEXT
    assert place.counters.codings["identity gzip fast"] == 1


async def test_a_client_that_leaves_does_not_stop_the_coding(place) -> None:
    leaver = asyncio.ensure_future(place.view("gzip"))
    await asyncio.sleep(0)
    leaver.cancel()
    assert zlib.decompress((await place.view("gzip")).body, 31) == TEXT
    assert place.counters.codings["identity gzip fast"] == 1


async def test_too_many_at_once_get_what_is_at_hand(place, monkeypatch) -> None:
    monkeypatch.setattr(module, "CODINGS_MAX", 0)
    assert (await place.view("br")).body == TEXT
    assert await place.view("br, identity;q=0") is None
    assert place.counters.codings_refused == 2


async def test_nobody_waits_for_ever(place, monkeypatch) -> None:
    monkeypatch.setattr(module, "WAIT_SECONDS", 0)
    place.coder.begin(place.kept, b"br")  # and nobody makes it
    assert (await place.view("br")).body == TEXT


async def test_bytes_that_are_not_stored_any_more_are_coded_all_the_same(place) -> None:
    place.store.forget(b"k")
    view = await place.view("gzip")
    assert zlib.decompress(view.body, 31) == TEXT
    assert place.store.objects == 0


async def test_a_failure_of_ours_is_remembered_and_said(place, monkeypatch, caplog) -> None:
    monkeypatch.setattr(module, "_coded", lambda *_: 1 / 0)
    for _ in range(2):
        assert (await place.view("br")).body == TEXT
    assert caplog.text.count("could not be coded") == 1


async def test_the_best_replaces_the_fast_one_unless_it_is_larger(place, monkeypatch) -> None:
    fast = await place.view("gzip")
    await place.coder._to_improve.join()
    best = await place.view("gzip")
    assert len(best.body) <= len(fast.body)
    assert first(best.representation.fields, b"etag") == b'"1-gzip"'
    monkeypatch.setattr(place.coder, "_coded_again", lambda *_: ("best", b"x" * 50_000))
    small = await place.view("br")
    await place.coder._to_improve.join()
    again = await place.view("br")
    assert again.body == small.body
    assert first(again.representation.fields, b"etag") == b'W/"1-br"'


@pytest.mark.parametrize("best_bytes_max", [1, 1 << 20])
async def test_the_same_content_always_becomes_the_same_octets(place, monkeypatch, best_bytes_max):
    monkeypatch.setattr(module, "BEST_BYTES_MAX", best_bytes_max)
    text = b"".join(b"let x%d = %d;\n" % (n, n * n) for n in range(2000))
    made = set()
    for own in ("identity", "br"):
        kept = stored(body=CODE[own](text), fields=[*FIELDS, (b"content-encoding", own.encode())])
        place.store.put(kept)
        await place.coder.view(asking("gzip"), route(), kept)
        await place.coder._to_improve.join()
        view = await place.coder.view(asking("gzip"), route(), place.store.latest(kept.body_id))
        assert first(view.representation.fields, b"etag") == b'"1-gzip"'
        made.add(view.body)
        place.store.forget(b"k")
    assert len(made) == 1
    level = "best" if best_bytes_max > len(text) else "fast"
    assert place.counters.codings[f"br gzip {level}"] == (1 if level == "best" else 2)


async def test_what_is_gone_or_cannot_be_improved_does_not_stop_the_rest(place, caplog) -> None:
    place.coder._improve_later(((b"gone", (), b"", b"identity"), b"br"), 1)
    made = DerivedBody(b"fast", is_final=False)
    broken = stored(b"j", b"no gzip", fields=[*FIELDS, (b"content-encoding", b"gzip")])
    place.store.put(broken)
    place.coder.settle(broken, b"br", made, bytes_max=99)
    await place.view("gzip")
    await place.coder._to_improve.join()
    assert "could not be coded better" in caplog.text
    assert place.counters.codings["identity gzip best"] == 1


async def test_what_waits_to_be_improved_is_bounded(place, monkeypatch) -> None:
    place.coder._to_improve = asyncio.Queue(1)
    for _ in range(3):
        place.coder._improve_later((place.kept.body_id, b"br"), 1)
    assert place.coder._to_improve.qsize() == 1


async def test_a_response_that_is_gone_when_its_best_is_made_is_left_alone(place) -> None:
    place.coder._swap((b"gone", (), b"", b"identity"), b"br", b"best")
    place.coder._swap(place.kept.body_id, b"br", b"best")
    assert place.store.latest(place.kept.body_id).derived == {}


async def test_closing_ends_what_is_being_made() -> None:
    place = Place()
    waiting = asyncio.ensure_future(place.view("br"))
    await asyncio.sleep(0)
    await place.coder.aclose()
    assert (await waiting).body == TEXT
    assert place.coder._tasks == set()
    with pytest.raises(Exception, match="closed"):
        place.coder._coded_again(body_to_code(place.kept), b"br", 99)


async def test_the_best_is_made_in_a_gentle_thread(monkeypatch) -> None:
    calls = []
    monkeypatch.setattr(module.os, "setpriority", lambda *call: calls.append(call))
    module._be_gentle()
    assert calls == [(module.os.PRIO_PROCESS, threading.get_native_id(), 10)]
    monkeypatch.setattr(module.sys, "platform", "darwin")
    module._be_gentle()
    assert len(calls) == 1


def test_identity_is_coded_from_where_it_is_at_hand() -> None:
    own = stored(body=b"coded", fields=[(b"content-encoding", b"br")])
    assert (body_to_code(own).coding, body_to_code(own).body) == (b"br", b"coded")
    own.derived = {b"identity": DerivedBody(b"plain", is_final=True)}
    assert (body_to_code(own).coding, body_to_code(own).body) == (b"identity", b"plain")


def test_who_might_get_something_else_of_the_origin_is_not_turned_away() -> None:
    check_acceptable(Offer(b"br", (b"br",)))
    with pytest.raises(DownstreamError) as caught:
        check_acceptable(Offer(b"br", (b"br", b"identity")))
    assert caught.value.status == 406


def test_what_only_the_disk_holds_is_not_coded() -> None:
    large = replace(stored(body=TEXT, fields=FIELDS), body=LargeBody(len(TEXT)))
    with pytest.raises(CodingError):
        body_to_code(large)
