"""What one client says or does changes nothing for the others (hostile input 1, 2, 12, 15, 17)."""

import pytest

from tests.support.barrier import Barrier
from tests.support.edge import HOST, Pop, make_pop, rule


@pytest.fixture
async def plain():
    """A transparent site, which listens to what a request says of caching."""
    pop = make_pop()
    yield pop
    await pop.edge.aclose()


PERSONAL = pytest.mark.parametrize(
    "fields", [{"cache_control": "no-store"}, {"authorization": "Bearer t"}], ids=str
)


@PERSONAL
async def test_an_answer_for_the_asker_alone_does_not_keep_the_next_from_being_stored(
    plain: Pop, fields: dict[str, str]
) -> None:
    plain.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    assert (await plain.get(**fields)).outcome == "uncacheable"
    assert (await plain.get()).cache_status == "fra1; fwd=uri-miss; stored"
    assert (await plain.get()).outcome == "hit"


@PERSONAL
async def test_nobody_waits_for_an_answer_for_the_asker_alone(
    plain: Pop, fields: dict[str, str]
) -> None:
    plain.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60").hold(b := Barrier())
    crowd = [*plain.crowd(2, **fields), *plain.crowd(2)]
    await b.reached(3)
    b.open()
    assert [(await task).outcome for task in crowd] == [
        "uncacheable",
        "uncacheable",
        "miss",
        "collapsed",
    ]


async def test_what_is_public_is_stored_from_authorized_requests_too(plain: Pop) -> None:
    plain.origin.on("GET", "/a").reply(200, b"x", cache_control="public, max-age=60")
    assert (await plain.get(authorization="Bearer t")).outcome == "miss"
    assert (await plain.get()).outcome == "hit"


@pytest.mark.parametrize("host", [f"{HOST}:1337", f"{HOST.upper()}.", "alias.example.com"])
async def test_the_origin_hears_of_no_spelling_of_the_host(plain: Pop, host: str) -> None:
    plain.origin.on("GET", "/a").reply(200, b"x", cache_control="max-age=60")
    await plain.get(host=host)
    assert plain.origin.asked[0].authority == HOST.encode()
    assert (await plain.get()).outcome == "hit"


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, "public, max-age=9"),
        ({"cookie": "id=1"}, None),
        ({"authorization": "Bearer t"}, None),
    ],
)
async def test_an_answer_to_somebody_is_not_called_public(
    fields: dict[str, str], expected: str | None
) -> None:
    pop = make_pop(rule(browser_cache_control=b"public, max-age=9"))
    route = pop.origin.on("GET", "/a")
    route.reply(200, b"x", vary="*")
    route.reply(200, b"for you", cache_control="max-age=60")
    await pop.get()
    exchange = await pop.get(**fields)
    assert exchange.body == b"for you"
    assert exchange.field("cache-control") == (expected or "max-age=60")
    await pop.edge.aclose()
