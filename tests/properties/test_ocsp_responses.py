"""Whatever octets arrive, judging them ends in a value, and no forgery becomes a staple."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.x509 import ocsp
from hypothesis import example, given
from hypothesis import strategies as st

from edgeproxy.tls.ocsp.refusal import Refused
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.verification import verify
from tests.support.ca import LocalCa, new_key
from tests.support.ocsp_answers import ANSWER_MODES, OcspAnswers

MOMENT = datetime.now(UTC).replace(microsecond=0)
NOW = MOMENT.timestamp()

with tempfile.TemporaryDirectory() as folder:
    CA = LocalCa(Path(folder))
    LEAF = CA.issue("a.test", ocsp_url="http://ocsp.test").certificate
    SIGNERS = {
        "issuer": OcspAnswers(CA, moment=MOMENT),
        "ecdsa": OcspAnswers(CA, CA.ocsp_signer(), moment=MOMENT),
        "rsa": OcspAnswers(CA, CA.ocsp_signer(key=new_key("rsa")), moment=MOMENT),
        "ed25519": OcspAnswers(
            CA, CA.ocsp_signer(key=ed25519.Ed25519PrivateKey.generate()), moment=MOMENT
        ),
    }
    ANSWERS = {
        (signer, mode): answers.about(LEAF, mode)
        for signer, answers in SIGNERS.items()
        for mode in ANSWER_MODES
    }
GOOD = [ANSWERS[signer, "good"] for signer in SIGNERS]
SIGNED_GOOD = {
    ocsp.load_der_ocsp_response(der).tbs_response_bytes
    for (_, mode), der in ANSWERS.items()
    if mode in {"good", "no_next_update"}
}

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["flip", "set", "insert", "delete", "swap"]),
        st.integers(0, 1 << 16),
        st.binary(min_size=1, max_size=4),
    ),
    min_size=1,
    max_size=4,
)


def edited(der, edits):
    octets = bytearray(der)
    for kind, place, with_what in edits:
        at = place % (len(octets) or 1)
        if kind == "flip" and octets:
            octets[at] ^= 1 << (with_what[0] % 8)
        elif kind == "set":
            octets[at : at + len(with_what)] = with_what
        elif kind == "insert":
            octets[at:at] = with_what
        elif kind == "delete":
            del octets[at : at + with_what[0] % 16 + 1]
        elif kind == "swap":
            octets[:] = octets[at:] + octets[:at]
    return bytes(octets)


def judged(der):
    result = verify(der, LEAF, CA.certificate, NOW)
    assert isinstance(result, Staple | Refused)
    return result


@given(st.binary(max_size=400))
@example(b"")
@example(b"\x30\x80")
@example(b"\x30\x03\x0a\x01\x00")  # successful, and nothing behind it
def test_octets_never_raise(octets):
    assert isinstance(judged(octets), Refused)


@given(st.sampled_from(GOOD), EDITS)
def test_an_edited_response_is_no_staple(der, edits):
    changed = edited(der, edits)
    result = judged(changed)
    if isinstance(result, Staple):
        assert changed == der
        assert result.der == der


@given(st.sampled_from(sorted(ANSWERS)), EDITS)
def test_no_edit_makes_good_of_bad(which, edits):
    result = judged(edited(ANSWERS[which], edits))
    if isinstance(result, Staple):
        assert ocsp.load_der_ocsp_response(result.der).tbs_response_bytes in SIGNED_GOOD


@pytest.mark.parametrize("signer", sorted(SIGNERS))
def test_no_single_bit_can_change(signer):
    der = ANSWERS[signer, "good"]
    assert isinstance(judged(der), Staple)
    for at in range(len(der)):
        changed = bytearray(der)
        changed[at] ^= 1 << (at % 8)
        result = judged(bytes(changed))
        assert isinstance(result, Refused) or _says_the_same(bytes(changed), der), at


def _says_the_same(one, other):
    """Whether all that is signed and the signature are alike.

    DER counts the unused bits of a BIT STRING in an octet of its own: where those bits of a
    signature happen to be zero, another count is another spelling of the very same signature.
    """
    these, those = (ocsp.load_der_ocsp_response(der) for der in (one, other))
    return (these.tbs_response_bytes, these.signature) == (
        those.tbs_response_bytes,
        those.signature,
    )
