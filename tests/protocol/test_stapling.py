"""Stapling as clients see it: `edgeproxy serve`, a responder on loopback, openssl and curl."""

import asyncio
import re
from datetime import timedelta
from typing import get_args

import pytest

from edgeproxy.identities import keeper
from edgeproxy.tls.ocsp.refusal import Refusal
from tests.support.ocsp_answers import ANSWER_MODES
from tests.support.ocsp_responder import TransportMode
from tests.support.s_client import SIGNATURES, alert, shown, stapled, stapled_serial
from tests.support.tls_sites import TlsSites, tls_sites

PROTOCOL_VERSION, MISSING_EXTENSION, UNRECOGNIZED_NAME = 70, 109, 112  # RFC 8446 section 6


@pytest.fixture
async def sites(tmp_path):
    async with tls_sites(tmp_path) as sites:
        yield sites


def both_kinds(sites: TlsSites) -> dict[str, object]:
    return {
        "ecdsa": sites.issue("a.test"),
        "rsa": sites.issue("a.test", kind="rsa", suffix="-rsa"),
    }


# --- real processes -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", SIGNATURES)
async def test_the_first_handshake_of_all_is_stapled(sites, kind):
    leaf = both_kinds(sites)[kind]
    async with sites.process() as edge:
        output = await edge.s_client("-status", "-tls1_3", "-sigalgs", SIGNATURES[kind])
        assert shown(output) == leaf.chain
        assert "OCSP Response Status: successful" in output
        assert "Cert Status: good" in output
        assert stapled_serial(output) == leaf.certificate.serial_number
        assert "Verify return code: 0 (ok)" in output
        assert await edge.fetches() == {"good": 2}
        assert sum(n for s, n in (await edge.metrics()).items() if "handshakes_total" in s) == 1


async def test_who_is_served_and_who_is_not(sites):
    sites.issue("a.test", "www.a.test", "*.a.test", host='aliases = ["www.a.test"]')
    sites.issue("b.test")
    async with sites.process('unknown_sni = "reject"') as edge:
        assert "OCSP" not in await edge.s_client()
        for version in ("-tls1_2", "-tls1_1"):
            refused = await edge.s_client(version, "-cipher", "ALL:@SECLEVEL=0")
            assert alert(refused) == PROTOCOL_VERSION
            assert not shown(refused)
        assert alert(await edge.s_client("-status", name="c.test")) == UNRECOGNIZED_NAME
        assert alert(await edge.s_client("-status", name=None)) == MISSING_EXTENSION
        for flag in ("--http2", "--http1.1"):
            own = await edge.curl("a.test", flag, "--cert-status")
            assert (own.status, own.body) == (200, b"hello")
            sibling = await edge.curl("a.test", flag, "-H", "Host: www.a.test")
            assert sibling.status == 200
            for other in ("b.test", "c.test"):
                misdirected = await edge.curl("a.test", flag, "-H", f"Host: {other}")
                assert misdirected.status == 421
    async with sites.process('unknown_sni = "default"\nno_sni = "reject"') as edge:
        by_default = await edge.s_client("-status", name="c.test")
        assert shown(by_default)[0].subject.rfc4514_string() == "CN=a.test"
        assert stapled(by_default) == "good"
        assert not shown(await edge.s_client(name=None))


async def test_a_revoked_certificate_is_served_bare_and_everybody_told(sites):
    sites.issue("a.test")
    sites.responder.mode = "revoked"
    async with sites.process() as edge:
        output = await edge.s_client("-status")
        assert stapled(output) is None
        assert "Verify return code: 0 (ok)" in output
        assert await edge.fetches() == {"revoked": 1}
        said = r'"level": "error", .* "a\.test: .* says REVOKED .*; nothing is stapled"'
        assert re.search(said, edge.process.said)
        ocsp = (await edge.certificates())["a.test"]["credentials"][0]["ocsp"]
        assert (ocsp["last_result"], ocsp["staple"]) == ("revoked", None)


async def test_with_a_responder_that_is_down_it_serves_without_a_staple(sites):
    sites.issue("a.test")
    await sites.responder.stop_listening()
    async with sites.process() as edge:
        output = await edge.s_client("-status")
        assert stapled(output) is None
        assert "Verify return code: 0 (ok)" in output
        assert await edge.fetches() == {"unreachable": 1}
        assert re.search(r"a\.test: .* unreachable: .*; nothing is stapled", edge.process.said)


@pytest.mark.parametrize("age", [timedelta(hours=1), timedelta(days=3)])
async def test_after_a_restart_with_the_responder_down_the_staple_is_that_from_disk(sites, age):
    sites.responder.answers.age = age  # of four days
    leaf = sites.issue("a.test")
    async with sites.process() as edge:
        assert stapled(await edge.s_client("-status")) == "good"
        edge.process.terminate()
        assert await edge.process.ended() == 0
    await sites.responder.stop_listening()
    async with sites.process() as edge:
        output = await edge.s_client("-status")
        assert stapled(output) == "good"
        assert stapled_serial(output) == leaf.certificate.serial_number
        if age.days:  # it is asked for in the background
            await edge.process.says(r"a\.test: .* unreachable: .*; stapled until .* as before")
            assert stapled(await edge.s_client("-status")) == "good"
    assert len(sites.responder.requests) == 1


# --- every way to answer --------------------------------------------------------------------------

RESULTS = {
    "good": "good",
    "no_next_update": "good",
    "post_only": "good",
    "unauthorized_then_sha256": "good",
    "revoked": Refusal.REVOKED,
    "unknown": Refusal.UNKNOWN,
    "try_later": Refusal.TRY_LATER,
    "internal_error": Refusal.INTERNAL_ERROR,
    "unauthorized": Refusal.UNAUTHORIZED,
    "malformed_request": Refusal.MALFORMED_REQUEST,
    "sig_required": Refusal.SIG_REQUIRED,
    "garbage": Refusal.GARBAGE,
    "wrong_serial": Refusal.WRONG_SERIAL,
    "wrong_issuer": Refusal.WRONG_ISSUER,
    "wrong_signer": Refusal.WRONG_SIGNER,
    "signer_without_usage": Refusal.WRONG_SIGNER,
    "expired_signer": Refusal.SIGNER_EXPIRED,
    "bad_signature": Refusal.BAD_SIGNATURE,
    "expired": Refusal.EXPIRED,
    "future": Refusal.NOT_YET_VALID,
    "http_500": Refusal.HTTP_STATUS,
    "redirect": Refusal.HTTP_STATUS,
    "html": Refusal.GARBAGE,
    "slow": Refusal.TIMEOUT,
    "oversized": Refusal.TOO_LARGE,
    "endless": Refusal.TOO_LARGE,
    "not_http": Refusal.GARBAGE,
    "truncated": Refusal.GARBAGE,
    "reset": Refusal.UNREACHABLE,
}


def test_no_mode_of_the_responder_is_left_out():
    assert RESULTS.keys() == {*ANSWER_MODES, *get_args(TransportMode)}


@pytest.mark.parametrize("mode", RESULTS)
async def test_whatever_a_responder_says_the_right_thing_is_stapled_or_nothing(
    sites, caplog, monkeypatch, mode
):
    caplog.set_level("INFO", "edgeproxy")
    if mode == "slow":
        monkeypatch.setattr(keeper, "FIRST_STAPLE_SECONDS", 0.2)
    leaf = sites.issue("a.test")
    sites.responder.mode = mode
    async with sites.in_process() as edge:
        output = await edge.s_client("-status")
        assert sites.responder.released.waiting == (mode == "slow")  # nobody waits for it
        assert shown(output) == leaf.chain
        assert "Verify return code: 0 (ok)" in output
        result = RESULTS[mode]
        assert stapled(output) == ("good" if result == "good" else None)
        assert await edge.fetches() == {result: 1}
    [said] = [r.getMessage() for r in caplog.records if sites.responder.url in r.getMessage()]
    if result == "good":
        assert said.startswith(f"a.test: stapled from {sites.responder.url} until ")
    else:
        assert said.startswith(f"a.test: {sites.responder.url}")
        assert result in said.lower()
        assert said.endswith("; nothing is stapled")


async def test_no_handshake_waits_for_a_responder(sites):
    sites.responder.answers.age = timedelta(days=3)  # of four: time to ask again
    sites.issue("a.test")
    async with sites.in_process():
        pass
    sites.responder.mode = "slow"
    async with sites.in_process() as edge:
        async with asyncio.timeout(20):
            await sites.responder.released.reached()
        assert stapled(await edge.s_client("-status")) == "good"
        assert sites.responder.released.waiting == 1
