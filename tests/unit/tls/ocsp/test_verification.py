from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from edgeproxy.tls.ocsp.refusal import Refusal, Refused
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.verification import RESPONSE_BYTES_MAX, verify
from tests.support.ca import LocalCa, new_key
from tests.support.ocsp_answers import OcspAnswers

MOMENT = datetime.now(UTC).replace(microsecond=0)
NOW = MOMENT.timestamp()
HOUR, DAY = 3600.0, 86_400.0


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("a.test", ocsp_url="http://ocsp.test").certificate


@pytest.fixture(scope="module")
def answers(ca):
    return OcspAnswers(ca, ca.ocsp_signer(), moment=MOMENT)


def reason(judged):
    assert isinstance(judged, Refused)
    return judged.reason


def test_a_good_response_becomes_a_staple(ca, leaf, answers):
    der = answers.about(leaf)
    until = NOW - HOUR + 4 * DAY
    assert verify(der, leaf, ca.certificate, NOW) == Staple(der, NOW - HOUR, until, until - 300)


@pytest.mark.parametrize("by_name", [True, False])
@pytest.mark.parametrize("is_delegated", [True, False])
@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256(), hashes.SHA384()])
def test_who_may_sign_is_the_issuer_or_whom_it_appoints(
    ca, leaf, answers, by_name, is_delegated, algorithm
):
    chosen = replace(answers, by_name=by_name, signer=answers.signer if is_delegated else None)
    judged = verify(chosen.about(leaf, algorithm=algorithm), leaf, ca.certificate, NOW)
    assert isinstance(judged, Staple)


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("revoked", Refusal.REVOKED),
        ("unknown", Refusal.UNKNOWN),
        ("try_later", Refusal.TRY_LATER),
        ("internal_error", Refusal.INTERNAL_ERROR),
        ("unauthorized", Refusal.UNAUTHORIZED),
        ("malformed_request", Refusal.MALFORMED_REQUEST),
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
    ],
)
def test_every_other_response_is_refused_with_its_reason(ca, leaf, answers, mode, expected):
    assert reason(verify(answers.about(leaf, mode), leaf, ca.certificate, NOW)) is expected


def test_a_forged_revocation_is_not_believed(ca, leaf, answers):
    der = answers.about(leaf, "revoked")
    response = ocsp.load_der_ocsp_response(der)
    forged = der.replace(response.signature, response.signature[:-1] + b"\x00")
    assert reason(verify(forged, leaf, ca.certificate, NOW)) is Refusal.BAD_SIGNATURE


def test_a_stranger_with_the_issuers_name_is_no_issuer(ca, leaf, tmp_path):
    impostor = LocalCa(tmp_path, "test root")
    judged = verify(OcspAnswers(impostor).about(leaf), leaf, ca.certificate, NOW)
    assert reason(judged) is Refusal.WRONG_ISSUER
    named = OcspAnswers(ca, (impostor.certificate, impostor.key)).about(leaf)
    assert reason(verify(named, leaf, ca.certificate, NOW)) is Refusal.WRONG_SIGNER


def test_an_appointed_signer_may_have_the_issuers_name(ca, leaf, answers):
    namesake = replace(answers, signer=ca.ocsp_signer(name="test root"))
    assert isinstance(verify(namesake.about(leaf), leaf, ca.certificate, NOW), Staple)


def test_a_signer_that_the_root_appointed_does_not_speak_for_the_intermediate(ca, answers):
    below = ca.intermediate()
    leaf = below.issue("b.test").certificate
    der = OcspAnswers(below, answers.signer).about(leaf)
    assert reason(verify(der, leaf, below.certificate, NOW)) is Refusal.WRONG_SIGNER


def test_the_leaf_itself_may_not_sign(ca):
    leaf = ca.issue("c.test")
    der = OcspAnswers(ca, (leaf.certificate, leaf.key)).about(leaf.certificate)
    assert reason(verify(der, leaf.certificate, ca.certificate, NOW)) is Refusal.WRONG_SIGNER


def test_a_certificate_of_the_response_that_is_not_its_signer_is_not_looked_at(ca, leaf, answers):
    stranger = answers._stranger[0]
    signer, key = answers.signer
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf, ca.certificate, hashes.SHA1(), ocsp.OCSPCertStatus.GOOD, MOMENT, None, None, None
    )
    response = (
        builder.responder_id(ocsp.OCSPResponderEncoding.HASH, signer)
        .certificates([stranger, signer])
        .sign(key, hashes.SHA256())
    )
    der = response.public_bytes(Encoding.DER)
    assert isinstance(verify(der, leaf, ca.certificate, NOW), Staple)


def test_the_signers_end_ends_the_staple(ca, leaf, answers):
    brief = replace(answers, signer=ca.ocsp_signer(days=1))
    judged = verify(brief.about(leaf), leaf, ca.certificate, NOW)
    ends = brief.signer[0].not_valid_after_utc.timestamp()
    assert isinstance(judged, Staple)
    assert judged.next_update == NOW - HOUR + 4 * DAY
    assert judged.usable_until == ends - 300


def test_without_a_next_update_a_response_is_good_for_a_day(ca, leaf, answers):
    judged = verify(answers.about(leaf, "no_next_update"), leaf, ca.certificate, NOW)
    assert isinstance(judged, Staple)
    assert judged.next_update == NOW - HOUR + DAY


@pytest.mark.parametrize(("minutes", "margin"), [(8, 120), (20, 300), (60, 300)])
def test_a_response_that_is_valid_for_minutes_keeps_three_quarters_of_them(
    ca, leaf, answers, minutes, margin
):
    brief = replace(answers, age=timedelta(0), lifetime=timedelta(minutes=minutes))
    judged = verify(brief.about(leaf), leaf, ca.certificate, NOW)
    assert isinstance(judged, Staple)
    assert judged.usable_until == judged.next_update - margin


def test_the_dates_are_judged_to_the_second(ca, leaf, answers):
    der = answers.about(leaf)
    begins, ends = NOW - HOUR - 300, NOW - HOUR + 4 * DAY - 300
    assert reason(verify(der, leaf, ca.certificate, begins - 1)) is Refusal.NOT_YET_VALID
    assert isinstance(verify(der, leaf, ca.certificate, begins), Staple)
    assert isinstance(verify(der, leaf, ca.certificate, ends - 1), Staple)
    assert reason(verify(der, leaf, ca.certificate, ends)) is Refusal.EXPIRED


def test_a_revocation_counts_until_the_very_end(ca, leaf, answers):
    der = answers.about(leaf, "revoked")
    until = NOW - HOUR + 4 * DAY
    assert reason(verify(der, leaf, ca.certificate, until - 1)) is Refusal.REVOKED
    assert reason(verify(der, leaf, ca.certificate, until)) is Refusal.EXPIRED


def test_a_critical_extension_is_one_that_we_do_not_know(ca, leaf):
    builder = ocsp.OCSPResponseBuilder().add_response(
        leaf, ca.certificate, hashes.SHA1(), ocsp.OCSPCertStatus.GOOD, MOMENT, None, None, None
    )
    builder = builder.responder_id(ocsp.OCSPResponderEncoding.HASH, ca.certificate)
    for is_critical, expected in ((False, Staple), (True, Refused)):
        extended = builder.add_extension(x509.OCSPNonce(b"0123456789abcdef"), critical=is_critical)
        der = extended.sign(ca.key, hashes.SHA256()).public_bytes(Encoding.DER)
        assert isinstance(verify(der, leaf, ca.certificate, NOW), expected)


def test_what_is_too_large_is_not_even_parsed(ca, leaf):
    judged = verify(bytes(RESPONSE_BYTES_MAX + 1), leaf, ca.certificate, NOW)
    assert reason(judged) is Refusal.TOO_LARGE


def test_octets_behind_a_response_are_garbage(ca, leaf, answers):
    # OpenSSL would silently drop such a staple
    judged = verify(answers.about(leaf) + b"\x00", leaf, ca.certificate, NOW)
    assert reason(judged) is Refusal.GARBAGE


@pytest.mark.parametrize(
    "key",
    [ed25519.Ed25519PrivateKey.generate(), new_key("rsa"), ec.generate_private_key(ec.SECP384R1())],
)
def test_signers_have_keys_of_every_kind(ca, leaf, answers, key):
    chosen = replace(answers, signer=ca.ocsp_signer(key=key))
    assert isinstance(verify(chosen.about(leaf), leaf, ca.certificate, NOW), Staple)


class PanicException(BaseException):
    """Named as pyo3's, which cannot be imported."""


@pytest.mark.parametrize(
    ("error", "is_caught"), [(PanicException, True), (KeyboardInterrupt, False)]
)
def test_a_panic_of_the_parser_is_garbage(ca, answers, leaf, error, is_caught):
    class Leaf:
        @property
        def serial_number(self):
            raise error("called `Option::unwrap()` on a `None` value")

    if is_caught:
        judged = verify(answers.about(leaf), Leaf(), ca.certificate, NOW)
        assert reason(judged) is Refusal.GARBAGE
    else:
        with pytest.raises(error):
            verify(answers.about(leaf), Leaf(), ca.certificate, NOW)
