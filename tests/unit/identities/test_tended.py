"""One identity and the staplers of its credentials: what is obtained, kept fresh, and let go."""

import asyncio

import pytest

from edgeproxy.identities.tended import Tended
from edgeproxy.tls.identity import load_identity
from tests.support.barrier import Barrier, settle
from tests.support.ca import LocalCa
from tests.support.clock import ManualClock
from tests.support.identities import DAY, REFUSED, Responders

URL = "http://127.0.0.1:9/ocsp"


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("ca")).intermediate()


@pytest.fixture(scope="module")
def pair(ca):
    kinds = ("ecdsa", "rsa")
    return load_identity([ca.issue("a.test", key=kind, ocsp_url=URL).files for kind in kinds])


@pytest.fixture
def responders():
    return Responders(ManualClock())


def demanding(ca):
    return load_identity([ca.issue("a.test", ocsp_url=URL, must_staple=True).files])


async def test_every_credential_gets_its_own_staple(pair, responders):
    tended = Tended(pair, responders.stapler_of)
    await tended.obtain(5.0, responders.clock.now())
    for each in tended.identity.credentials:
        assert each.staple.der == b"%d" % each.leaf.serial_number
    assert [each.staple for each in pair.credentials] == [None, None], "values do not change"


async def test_credentials_are_asked_for_together(pair, responders):
    responders.gate = Barrier()
    tended = Tended(pair, responders.stapler_of)
    async with asyncio.TaskGroup() as group:
        group.create_task(tended.obtain(5.0, responders.clock.now()))
        await responders.gate.reached(2)
        responders.gate.open()


async def test_what_is_usable_already_is_not_asked_for(pair, responders):
    first = Tended(pair, responders.stapler_of)
    await first.obtain(5.0, responders.clock.now())
    again = Tended(first.identity, responders.stapler_of)
    await again.obtain(5.0, responders.clock.now())
    assert len(responders.asked) == 2
    responders.clock.advance(3 * DAY)
    await again.obtain(5.0, responders.clock.now())
    assert len(responders.asked) == 4


async def test_only_what_must_be_stapled_can_lack_a_staple(ca, pair, responders):
    responders.answer = REFUSED
    now = responders.clock.now()
    for identity, lacks in ((pair, False), (demanding(ca), True)):
        tended = Tended(identity, responders.stapler_of)
        await tended.obtain(5.0, now)
        assert tended.lacks_staple(now) is lacks
    assert not Tended(demanding(ca), None).lacks_staple(now), "stapling is off"
    responders.answer = None
    await tended.obtain(5.0, now)
    assert not tended.lacks_staple(now)
    assert tended.lacks_staple(now + 3 * DAY)


async def test_a_new_staple_is_told_with_the_identity_that_has_it(pair, responders):
    tended = Tended(pair, responders.stapler_of)
    await tended.obtain(5.0, responders.clock.now())
    told = []
    for _ in range(2):  # once is enough
        tended.keep_fresh(lambda changed: told.append(changed.identity))
    await responders.slept.reached(2)
    assert responders.slept.waiting == 2
    await responders.wake(2 * DAY)
    await responders.slept.reached(2)
    assert len(told) == 2
    assert told[-1] is tended.identity
    began = {each.staple.this_update for each in told[-1].credentials}
    assert began == {responders.clock.now()}
    await tended.aclose()


async def test_closed_it_asks_nobody_any_more(pair, responders):
    tended = Tended(pair, responders.stapler_of)
    tended.keep_fresh(lambda _: None)
    await responders.slept.reached(2)
    tended.close()
    await settle()
    assert responders.slept.waiting == 0
    await tended.aclose()
    await Tended(pair, responders.stapler_of).aclose()  # never begun
    assert responders.asked == []


async def test_a_refresh_that_breaks_is_said(pair, responders, caplog):
    def broken(_):
        raise RuntimeError("out of order")

    tended = Tended(pair, responders.stapler_of)
    tended.keep_fresh(broken)
    await responders.slept.reached(2)
    responders.slept.open()
    await settle()
    assert caplog.text.count("its staple is not refreshed any more") == 2
    assert "out of order" in caplog.text
    await tended.aclose()
