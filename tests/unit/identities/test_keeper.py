"""What is live, when it changes, and when it must not."""

import asyncio
import shutil
from contextlib import asynccontextmanager
from functools import partial

import pytest

from edgeproxy.identities.keeper import Keeper
from edgeproxy.tls.ocsp.refusal import Refusal, Refused
from tests.support.barrier import Barrier, settle
from tests.support.ca import key_pem, new_key
from tests.support.identities import DAY, REFUSED, Stand

URL = "http://127.0.0.1:9/ocsp"


@asynccontextmanager
async def kept(keeper: Keeper):
    await keeper.start()
    try:
        yield keeper
    finally:
        await keeper.aclose()


async def test_the_first_thing_that_is_published_is_stapled(tmp_path):
    stand = Stand(tmp_path, ocsp_url=URL)
    async with kept(stand.keeper()):
        ((identity,), withheld), *_ = stand.published
    assert identity.credentials[0].staple is not None
    assert withheld == ()
    assert stand.loads == {"loaded": 1}


async def test_without_a_responder_nothing_is_asked_and_nothing_missed(tmp_path):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()):
        assert stand.live.credentials[0].staple is None
    assert stand.responders.asked == []


async def test_with_stapling_off_nobody_is_asked(tmp_path):
    stand = Stand(tmp_path, ocsp_url=URL, must_staple=True)
    async with kept(stand.keeper(staples=False)):
        assert stand.live.credentials[0].staple is None
        assert stand.withheld == ()
    assert stand.responders.asked == []


async def test_a_renewed_certificate_takes_over_with_its_own_staple(tmp_path, caplog):
    caplog.set_level("INFO", "edgeproxy")
    stand = Stand(tmp_path, ocsp_url=URL)
    async with kept(stand.keeper()) as keeper:
        before = stand.live
        stand.issue(key="rsa", ocsp_url=URL)
        await keeper.reload()
        assert stand.live.fingerprints != before.fingerprints
        (credential,) = stand.live.credentials
        assert credential.kind == "rsa"
        assert credential.staple is not None
        assert credential.staple.der == b"%d" % credential.leaf.serial_number
    assert stand.counters.certificate_swaps == {"www.test": 1}
    assert caplog.text.count("certificate replaced") == 1


async def test_a_second_certificate_beside_the_first_joins_it(tmp_path):
    stand = Stand(tmp_path, ocsp_url=URL)
    async with kept(stand.keeper()) as keeper:
        (first,) = stand.live.credentials
        other = stand.ca.issue("www.test", key="rsa", directory=tmp_path / "other")
        shutil.copy(other.chain_path, stand.folder / "fullchain-rsa.pem")
        shutil.copy(other.key_path, stand.folder / "key-rsa.pem")
        await keeper.reload()
        assert [each.kind for each in stand.live.credentials] == ["ecdsa", "rsa"]
        assert stand.live.credentials[0].staple == first.staple
    assert len(stand.responders.asked) == 1, "a staple that is there is taken along"


async def test_files_that_did_not_change_are_not_loaded_again(tmp_path):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        for _ in range(3):
            await keeper.reload()
        assert len(stand.published) == 1
    assert stand.loads == {"loaded": 1}


def _other_key(stand: Stand) -> None:
    (stand.folder / "key.pem").write_bytes(key_pem(new_key()))


def _cut_chain(stand: Stand) -> None:
    chain = stand.folder / "fullchain.pem"
    chain.write_bytes(chain.read_bytes()[:200])


def _no_key(stand: Stand) -> None:
    (stand.folder / "key.pem").unlink()


def _no_folder(stand: Stand) -> None:
    shutil.rmtree(stand.folder)


def _folder_for_file(stand: Stand) -> None:
    _no_key(stand)
    (stand.folder / "key.pem").mkdir()


def _expired(stand: Stand) -> None:
    stand.issue(days=-1)


def _other_name(stand: Stand) -> None:
    stand.issue("other.test")


def _link_to_itself(stand: Stand) -> None:
    _no_key(stand)
    (stand.folder / "key.pem").symlink_to("key.pem")


BROKEN = [
    _other_key,
    _cut_chain,
    _link_to_itself,
    _no_key,
    _no_folder,
    _folder_for_file,
    _expired,
    _other_name,
]


@pytest.mark.parametrize("harm", BROKEN)
async def test_what_cannot_be_used_changes_nothing_and_is_said_once(tmp_path, caplog, harm):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        before = stand.live
        harm(stand)
        for _ in range(3):
            await keeper.reload()
        assert stand.live is before
        assert stand.loads == {"loaded": 1, "failed": 1}
        assert caplog.text.count("the old certificate is kept") == 1
        (described,) = keeper.status()["identities"]
        assert described["last_load"]["result"] == "failed"
        assert described["last_load"]["detail"]
        shutil.rmtree(stand.folder, ignore_errors=True)
        stand.issue()
        await keeper.reload()
        assert stand.live.fingerprints != before.fingerprints
    assert stand.counters.certificate_swaps == {"www.test": 1}


@pytest.mark.parametrize("harm", BROKEN)
async def test_half_a_renewal_is_no_fault_and_the_whole_is_taken_at_once(tmp_path, caplog, harm):
    stand = Stand(tmp_path)

    def complete() -> None:
        shutil.rmtree(stand.folder, ignore_errors=True)
        stand.issue()

    async with kept(stand.keeper()) as keeper:
        before = stand.live
        stand.meanwhile = complete
        harm(stand)
        await keeper.reload()
        assert stand.live.fingerprints != before.fingerprints
    assert stand.loads == {"loaded": 2}
    assert caplog.text == ""


async def test_files_that_never_come_to_rest_are_a_fault(tmp_path, caplog):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        before = stand.live
        stand.meanwhile = partial(_other_key, stand)
        _other_key(stand)
        await keeper.reload()
        assert stand.live is before
    assert stand.loads == {"loaded": 1, "failed": 1}
    assert "the key does not belong" in caplog.text


async def test_another_fault_of_the_same_kind_is_said_again(tmp_path, caplog):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        for _ in range(2):
            _other_key(stand)
            await keeper.reload()
    assert caplog.text.count("the key does not belong") == 2


async def test_a_renewal_whose_asker_left_is_taken_by_the_next(tmp_path):
    stand = Stand(tmp_path, ocsp_url=URL)
    async with kept(stand.keeper()) as keeper:
        before = stand.live
        stand.issue(ocsp_url=URL)
        stand.responders.gate = Barrier()
        asking = asyncio.get_running_loop().create_task(keeper.reload())
        await stand.responders.gate.reached()
        asking.cancel()
        await asyncio.wait({asking})
        stand.responders.gate.open()
        await keeper.reload()
        assert stand.live.fingerprints != before.fingerprints


async def test_files_that_are_put_back_are_what_is_live(tmp_path):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        key = (stand.folder / "key.pem").read_bytes()
        _other_key(stand)
        await keeper.reload()
        (stand.folder / "key.pem").write_bytes(key)
        await keeper.reload()
        (described,) = keeper.status()["identities"]
        assert described["last_load"]["result"] == "loaded"
    assert len(stand.published) == 1
    assert not stand.counters.certificate_swaps


async def test_a_certificate_that_is_not_valid_yet_is_taken_when_it_is(tmp_path):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        before = stand.live
        stand.issue(starts_in_days=1, days=30)
        await keeper.reload()
        assert stand.live is before
        stand.clock.advance(1.5 * DAY)
        await keeper.reload()
        assert stand.live.fingerprints != before.fingerprints


async def test_a_pop_can_be_told_to_go_back_and_forth(tmp_path, caplog):
    caplog.set_level("INFO", "edgeproxy")
    stand = Stand(tmp_path, ocsp_url=URL)
    async with kept(stand.keeper()) as keeper:
        first = stand.live
        assert await keeper.revert("www.test") == "nothing-kept"
        assert await keeper.revert("nobody.test") == "unknown-name"
        stand.issue(ocsp_url=URL)
        await keeper.reload()
        second = stand.live
        assert await keeper.revert("www.test") == "reverted"
        assert stand.live.fingerprints == first.fingerprints
        await keeper.reload()
        assert stand.live.fingerprints == first.fingerprints, "the files have not changed"
        assert await keeper.revert("www.test") == "reverted"
        assert stand.live.fingerprints == second.fingerprints
        assert keeper.status_of("www.test")["previous"]["sha256"] == list(first.fingerprints)
    assert caplog.text.count("gone back") == 2


async def test_what_was_replaced_is_forgotten_when_the_overlap_is_over(tmp_path):
    stand = Stand(tmp_path)
    async with kept(stand.keeper(overlap_seconds=60.0)) as keeper:
        stand.issue()
        await keeper.reload()
        stand.clock.advance(60.0)
        assert await keeper.revert("www.test") == "nothing-kept"
        assert keeper.status_of("www.test")["previous"] is None


async def test_nobody_goes_back_to_an_expired_certificate(tmp_path):
    stand = Stand(tmp_path, days=2)
    async with kept(stand.keeper(overlap_seconds=30 * DAY)) as keeper:
        stand.issue()
        await keeper.reload()
        stand.clock.advance(3 * DAY)
        assert await keeper.revert("www.test") == "nothing-kept"


async def test_a_must_staple_certificate_waits_for_its_staple(tmp_path, caplog):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        before = stand.live
        stand.responders.answer = REFUSED
        stand.issue(ocsp_url=URL, must_staple=True)
        await keeper.reload()
        assert stand.live is before
        assert stand.loads == {"loaded": 1, "kept": 1}
        assert "must be stapled" in caplog.text
        stand.responders.answer = None
        await stand.responders.wake(120.0)
        assert stand.live.credentials[0].staple is not None
        assert stand.loads == {"loaded": 2, "kept": 1}
        assert await keeper.revert("www.test") == "reverted"
        assert stand.live.fingerprints == before.fingerprints


async def test_a_reload_that_is_cancelled_has_judged_nothing(tmp_path):
    stand = Stand(tmp_path, ocsp_url=URL)
    async with kept(stand.keeper()) as keeper:
        for _ in range(2):  # the second comes after the first look of the watch
            await keeper.reload()
        before = stand.live
        stand.responders.gate = Barrier()
        renewed = stand.issue(ocsp_url=URL)
        reload = asyncio.get_running_loop().create_task(keeper.reload())
        await stand.responders.gate.reached()
        reload.cancel()
        await asyncio.wait({reload})
        assert stand.live is before
        stand.responders.gate.open()
        await keeper.reload()
        assert stand.live.credentials[0].leaf == renewed.certificate


async def test_a_certificate_that_waits_is_dropped_for_a_newer_one(tmp_path):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        stand.responders.answer = REFUSED
        stand.issue(ocsp_url=URL, must_staple=True)
        await keeper.reload()
        stand.issue()
        await keeper.reload()
        live = stand.live
        await settle()
        assert stand.live is live
        assert stand.responders.slept.waiting == 0


async def test_a_certificate_that_waits_ends_with_the_keeper(tmp_path):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        stand.responders.answer = REFUSED
        stand.issue(ocsp_url=URL, must_staple=True)
        await keeper.reload()
        await stand.responders.slept.reached()
    assert stand.responders.slept.waiting == 0


async def test_going_back_to_what_must_be_stapled_needs_a_staple(tmp_path):
    stand = Stand(tmp_path, ocsp_url=URL, must_staple=True)
    async with kept(stand.keeper(overlap_seconds=30 * DAY)) as keeper:
        stand.issue()
        await keeper.reload()
        stand.responders.answer = REFUSED
        stand.clock.advance(5 * DAY)
        assert await keeper.revert("www.test") == "nothing-kept"


async def test_names_of_a_must_staple_certificate_are_refused_until_it_is_stapled(tmp_path, caplog):
    stand = Stand(tmp_path, ocsp_url=URL, must_staple=True)
    stand.responders.answer = REFUSED
    async with kept(stand.keeper()) as keeper:
        assert stand.withheld == ("www.test",)
        assert [facts.is_withheld for facts in keeper.facts()] == [True]
        assert "its names are refused" in caplog.text
        stand.responders.answer = None
        await stand.responders.wake(120.0)
        assert stand.withheld == ()
        assert stand.live.credentials[0].staple is not None
        assert keeper.status_of("www.test")["is_withheld"] is False


async def test_a_withheld_identity_is_none_to_go_back_to(tmp_path):
    stand = Stand(tmp_path, ocsp_url=URL, must_staple=True)
    stand.responders.answer = REFUSED
    async with kept(stand.keeper()) as keeper:
        stand.issue()
        await keeper.reload()
        assert stand.withheld == ()
        assert await keeper.revert("www.test") == "nothing-kept"


async def test_a_new_staple_is_published_with_the_same_certificate(tmp_path):
    stand = Stand(tmp_path, ocsp_url=URL)
    async with kept(stand.keeper()) as keeper:
        first = stand.live
        await stand.responders.wake(2 * DAY)
        assert stand.live.fingerprints == first.fingerprints
        assert stand.live.credentials[0].staple.this_update == stand.clock.now()
        (facts,) = keeper.facts()
        assert facts.staple_next_update == stand.clock.now() + 4 * DAY


async def test_a_revoked_certificate_s_staple_is_withdrawn(tmp_path):
    stand = Stand(tmp_path, ocsp_url=URL)
    async with kept(stand.keeper()):
        stand.responders.answer = Refused(Refusal.REVOKED)
        await stand.responders.wake(2 * DAY)
        assert stand.live.credentials[0].staple is None


async def test_the_end_of_a_certificate_is_said_ahead_once_for_each_threshold(tmp_path, caplog):
    stand = Stand(tmp_path, days=10)
    async with kept(stand.keeper()) as keeper:
        for _ in range(12):
            await keeper.reload()
            await keeper.reload()
            stand.clock.advance(DAY)
    said = [r.getMessage() for r in caplog.records if "expire" in r.getMessage()]
    assert len(said) == 5
    assert "expires in 10.0 days" in said[0]
    assert said[-1].endswith("the certificate has expired")


async def test_what_is_unwise_about_the_files_is_said(tmp_path, caplog):
    stand = Stand(tmp_path)
    async with kept(stand.keeper()) as keeper:
        stand.issue()
        (stand.folder / "key.pem").chmod(0o644)
        await keeper.reload()
    assert "key.pem" in caplog.text


@pytest.mark.parametrize("names_files", [False, True])
async def test_a_renewal_on_disk_is_seen_without_being_told(tmp_path, names_files):
    stand = Stand(tmp_path)
    async with kept(stand.keeper(names_files=names_files)):
        before = stand.live
        renewed = stand.issue()
        async with asyncio.timeout(20):
            await stand.changed.wait()
        assert stand.live.fingerprints != before.fingerprints
        assert stand.live.credentials[0].leaf == renewed.certificate


async def test_a_look_that_fails_does_not_end_the_watch(tmp_path, caplog, monkeypatch):
    stand = Stand(tmp_path)
    keeper = stand.keeper()
    looks = asyncio.Semaphore(0)

    async def broken() -> None:
        looks.release()
        raise RuntimeError("out of order")

    monkeypatch.setattr(keeper, "reload", broken)
    async with kept(keeper), asyncio.timeout(20):
        await looks.acquire()
        await looks.acquire()
    assert "looking for new certificates failed" in caplog.text
