import asyncio
import gc

import pytest
from cryptography.hazmat.primitives import hashes

from edgeproxy.clock import SystemClock
from edgeproxy.tls.ocsp.refusal import Refusal, Refused
from edgeproxy.tls.ocsp.responder import Responder
from edgeproxy.tls.ocsp.staple import Staple
from tests.support.ca import LocalCa
from tests.support.ocsp_answers import OcspAnswers
from tests.support.ocsp_responder import OcspResponder

NOW = SystemClock().now()


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def answers(ca):
    return OcspAnswers(ca, ca.ocsp_signer())


@pytest.fixture
async def server(answers):
    async with OcspResponder(answers) as server:
        yield server


@pytest.fixture
async def responder():
    responder = Responder()
    yield responder
    await responder.aclose()
    await asyncio.sleep(0)


@pytest.fixture
def leaf(ca, server):
    return ca.issue("a.test", ocsp_url=server.url).certificate


async def test_a_good_answer_is_a_staple(ca, leaf, server, responder):
    staple = await responder.fetch(leaf, ca.certificate, NOW)
    assert isinstance(staple, Staple)
    assert staple.is_usable(NOW)
    (request,) = server.requests
    assert request.serial_number == leaf.serial_number
    assert isinstance(request.hash_algorithm, hashes.SHA1)
    assert server.methods == ["GET"]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("revoked", Refusal.REVOKED),
        ("unknown", Refusal.UNKNOWN),
        ("try_later", Refusal.TRY_LATER),
        ("internal_error", Refusal.INTERNAL_ERROR),
        ("sig_required", Refusal.SIG_REQUIRED),
        ("garbage", Refusal.GARBAGE),
        ("wrong_serial", Refusal.WRONG_SERIAL),
        ("wrong_issuer", Refusal.WRONG_ISSUER),
        ("wrong_signer", Refusal.WRONG_SIGNER),
        ("signer_without_usage", Refusal.WRONG_SIGNER),
        ("expired_signer", Refusal.SIGNER_EXPIRED),
        ("bad_signature", Refusal.BAD_SIGNATURE),
        ("expired", Refusal.EXPIRED),
        ("future", Refusal.NOT_YET_VALID),
        ("http_500", Refusal.HTTP_STATUS),
        ("redirect", Refusal.HTTP_STATUS),
        ("html", Refusal.GARBAGE),
        ("not_http", Refusal.GARBAGE),
        ("truncated", Refusal.GARBAGE),
        ("oversized", Refusal.TOO_LARGE),
        ("endless", Refusal.TOO_LARGE),
    ],
)
async def test_every_other_answer_is_a_reason(ca, leaf, server, responder, mode, expected):
    server.mode = mode
    refused = await responder.fetch(leaf, ca.certificate, NOW)
    assert isinstance(refused, Refused)
    assert refused.reason is expected
    assert len(server.requests) == 1  # no redirect is followed, nothing is repeated


async def test_a_reset_is_a_reason_and_no_error(ca, leaf, server, responder):
    server.mode = "reset"
    refused = await responder.fetch(leaf, ca.certificate, NOW)
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.UNREACHABLE
    assert len(server.requests) <= 2  # aiohttp repeats a GET once when its connection is lost


async def test_an_answer_without_an_end_is_a_staple_for_a_day(ca, leaf, server, responder):
    server.mode = "no_next_update"
    assert isinstance(await responder.fetch(leaf, ca.certificate, NOW), Staple)


@pytest.mark.parametrize("mode", ["unauthorized", "malformed_request"])
async def test_who_does_not_know_the_name_is_asked_by_another(ca, leaf, server, responder, mode):
    server.mode = mode
    refused = await responder.fetch(leaf, ca.certificate, NOW)
    assert isinstance(refused, Refused)
    assert refused.reason == mode
    assert [request.hash_algorithm.name for request in server.requests] == ["sha1", "sha256"]


async def test_a_responder_that_knows_sha_256_only_is_understood(ca, leaf, server, responder):
    server.mode = "unauthorized_then_sha256"
    assert isinstance(await responder.fetch(leaf, ca.certificate, NOW), Staple)


async def test_a_responder_that_knows_post_only_is_understood(ca, leaf, server, responder):
    server.mode = "post_only"
    assert isinstance(await responder.fetch(leaf, ca.certificate, NOW), Staple)
    assert server.methods == ["GET", "POST"]
    assert b"content-type: application/ocsp-request" in server.heads[1].lower()


async def test_the_issuer_may_sign_itself(ca, leaf, server, responder):
    server.answers = OcspAnswers(ca)
    assert isinstance(await responder.fetch(leaf, ca.certificate, NOW), Staple)


async def test_a_responder_that_keeps_us_waiting_is_given_up(ca, leaf, server):
    server.mode = "slow"
    responder = Responder(total_timeout_seconds=0.05)
    refused = await responder.fetch(leaf, ca.certificate, NOW)
    await responder.aclose()
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.TIMEOUT


async def test_cancellation_is_not_swallowed(ca, leaf, server, responder):
    server.mode = "slow"
    async with asyncio.TaskGroup() as group:
        task = group.create_task(responder.fetch(leaf, ca.certificate, NOW))
        await server.released.reached()
        task.cancel()
    assert task.cancelled()


async def test_nobody_listening_is_a_reason_and_no_error(ca, leaf, server, responder):
    await server.stop_listening()
    refused = await responder.fetch(leaf, ca.certificate, NOW)
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.UNREACHABLE
    await server.listen()
    assert isinstance(await responder.fetch(leaf, ca.certificate, NOW), Staple)


@pytest.mark.parametrize(
    "url", ["http://nowhere.invalid/", "http://[::1/", "http://127.0.0.1:99999/"]
)
async def test_a_url_that_leads_nowhere_is_a_reason_and_no_error(ca, responder, url):
    leaf = ca.issue("a.test", ocsp_url=url).certificate
    refused = await responder.fetch(leaf, ca.certificate, NOW)
    assert isinstance(refused, Refused)
    assert refused.reason is Refusal.UNREACHABLE


async def test_without_a_url_nobody_is_asked(ca, responder):
    refused = await responder.fetch(ca.issue("a.test").certificate, ca.certificate, NOW)
    assert refused == Refused(Refusal.NO_RESPONDER)


async def test_the_request_says_nothing_about_us(
    ca, leaf, server, responder, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    await responder.fetch(leaf, ca.certificate, NOW)
    names = [line.split(b":")[0].lower() for line in server.heads[0].split(b"\r\n")[1:] if line]
    assert sorted(names) == [b"accept", b"connection", b"host"]


async def test_what_is_left_unread_is_no_leak(ca, leaf, server, responder):
    server.mode = "endless"
    for _ in range(3):
        await responder.fetch(leaf, ca.certificate, NOW)
    gc.collect()  # an unclosed response would warn, and warnings are errors
