"""OCSP against OpenSSL's own: it answers what we ask, and takes what our tests sign.

Its responder is used through files, because on a port it would listen to the whole network.
"""

import asyncio
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from OpenSSL import SSL

from edgeproxy.clock import SystemClock
from edgeproxy.tls.ocsp.refusal import Refusal, Refused
from edgeproxy.tls.ocsp.request import encode_request
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.verification import verify
from tests.support.ca import LocalCa, certificate_pem, key_pem, new_key
from tests.support.clients import run
from tests.support.handshake import client_context, connected
from tests.support.ocsp_answers import OcspAnswers
from tests.support.ocsp_responder import OcspResponder


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def leaf(ca):
    return ca.issue("a.test", ocsp_url="http://ocsp.test/")


class OpensslResponder:
    """`openssl ocsp` with an index of one leaf."""

    def __init__(self, folder: Path, ca: LocalCa) -> None:
        self._folder = folder
        self._ca = ca

    def answer(self, leaf, request, *flags, status="V", signer=None):
        """Return its response to a DER request."""
        certificate, key = signer or self._ca.ocsp_signer()
        revoked = "261101000000Z" if status == "R" else ""
        serial = f"{leaf.serial_number:X}"
        serial = serial.rjust(len(serial) + len(serial) % 2, "0")
        self._write("signer.pem", certificate_pem(certificate))
        self._write("signer.key", key_pem(key))
        row = "\t".join((status, "361231235959Z", revoked, serial, "unknown", "/CN=a.test"))
        self._write("index.txt", f"{row}\n".encode())
        self._write("request.der", request)
        files = {
            "-index": "index.txt",
            "-rsigner": "signer.pem",
            "-rkey": "signer.key",
            "-reqin": "request.der",
            "-respout": "response.der",
        }
        named = [part for flag, name in files.items() for part in (flag, str(self._folder / name))]
        run("openssl", "ocsp", "-CA", str(self._ca.path), *named, "-nmin", "60", *flags)
        return (self._folder / "response.der").read_bytes()

    def _write(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)


@pytest.fixture
def openssl(tmp_path, ca):
    return OpensslResponder(tmp_path, ca)


def judged(der, leaf, ca):
    return verify(der, leaf.certificate, ca.certificate, SystemClock().now())


def asked(leaf, ca, algorithm):
    return encode_request(leaf.certificate, ca.certificate, algorithm)


@pytest.mark.parametrize("algorithm", [hashes.SHA1(), hashes.SHA256()])
@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_openssl_answers_our_request_and_we_take_its_answer(ca, leaf, openssl, algorithm, kind):
    signer = ca.ocsp_signer(key=new_key(kind))
    der = openssl.answer(leaf.certificate, asked(leaf, ca, algorithm), signer=signer)
    staple = judged(der, leaf, ca)
    assert isinstance(staple, Staple)
    assert staple.next_update - staple.this_update == 3600


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        (("-rmd", "sha512"), Staple),
        (("-rmd", "sha256", "-rsigopt", "rsa_padding_mode:pss"), Staple),
        (("-rmd", "sha384", "-rsigopt", "rsa_padding_mode:pss"), Staple),
        (("-resp_key_id",), Staple),
        (("-rmd", "sha1"), Refusal.WEAK_SIGNATURE),
        (("-rmd", "sha224"), Refusal.WEAK_SIGNATURE),
        (("-rmd", "sha1", "-rsigopt", "rsa_padding_mode:pss"), Refusal.BAD_SIGNATURE),
        (("-badsig",), Refusal.BAD_SIGNATURE),
        (("-resp_no_certs",), Refusal.WRONG_SIGNER),
    ],
)
def test_signatures_of_openssl_are_judged_by_their_strength(ca, leaf, openssl, flags, expected):
    signer = ca.ocsp_signer(key=new_key("rsa"))
    request = asked(leaf, ca, hashes.SHA1())
    result = judged(openssl.answer(leaf.certificate, request, *flags, signer=signer), leaf, ca)
    assert (result.reason if isinstance(result, Refused) else type(result)) == expected


@pytest.mark.parametrize(("status", "expected"), [("R", Refusal.REVOKED), ("V", Refusal.UNKNOWN)])
def test_openssl_and_we_mean_the_same_by_revoked_and_unknown(ca, leaf, openssl, status, expected):
    known = leaf if status == "R" else ca.issue("other.test")
    request = asked(leaf, ca, hashes.SHA1())
    result = judged(openssl.answer(known.certificate, request, status=status), leaf, ca)
    assert isinstance(result, Refused)
    assert result.reason is expected


def test_a_signer_that_was_appointed_with_sha_1_is_refused(ca, leaf, tmp_path):
    key = new_key()
    for name, data in (
        ("key", key_pem(key)),
        ("ca.key", key_pem(ca.key)),
        ("extensions", b"extendedKeyUsage = OCSPSigning\n"),
    ):
        (tmp_path / name).write_bytes(data)
    at = {name: str(tmp_path / name) for name in ("key", "ca.key", "extensions", "csr", "pem")}
    run("openssl", "req", "-new", "-key", at["key"], "-subj", "/CN=old", "-out", at["csr"])
    authority = ("-CA", str(ca.path), "-CAkey", at["ca.key"], "-extfile", at["extensions"])
    run("openssl", "x509", "-req", "-sha1", "-in", at["csr"], *authority, "-out", at["pem"])
    signer = x509.load_pem_x509_certificate((tmp_path / "pem").read_bytes())
    result = judged(OcspAnswers(ca, (signer, key)).about(leaf.certificate), leaf, ca)
    assert isinstance(result, Refused)
    assert result.reason is Refusal.WEAK_SIGNATURE


SIGNERS = {
    "issuer": lambda _: None,
    "ecdsa": lambda ca: ca.ocsp_signer(),
    "rsa": lambda ca: ca.ocsp_signer(key=new_key("rsa")),
    "ed25519": lambda ca: ca.ocsp_signer(key=ed25519.Ed25519PrivateKey.generate()),
}


def openssl_says(ca, leaf, der, folder):
    (folder / "response.der").write_bytes(der)
    files = ("-issuer", str(ca.path), "-cert", str(leaf.chain_path), "-CAfile", str(ca.path))
    done = run("openssl", "ocsp", "-respin", str(folder / "response.der"), *files, ok=False)
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("signer", sorted(SIGNERS))
@pytest.mark.parametrize("by_name", [True, False])
def test_openssl_takes_what_our_tests_sign(ca, leaf, tmp_path, signer, by_name):
    answers = OcspAnswers(ca, SIGNERS[signer](ca), by_name=by_name)
    der = answers.about(leaf.certificate)
    said = openssl_says(ca, leaf, der, tmp_path)
    assert "Response verify OK" in said
    assert f"{leaf.chain_path}: good" in said
    assert isinstance(judged(der, leaf, ca), Staple)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("revoked", ": revoked"),
        ("unknown", ": unknown"),
        ("expired", "Status times invalid"),
        ("future", "Status times invalid"),
        ("wrong_serial", "No Status found"),
        ("wrong_issuer", "No Status found"),
        ("wrong_signer", "Response Verify Failure"),
        ("signer_without_usage", "Response Verify Failure"),
        ("expired_signer", "Response Verify Failure"),
        ("bad_signature", "Response Verify Failure"),
        ("try_later", "trylater (3)"),
    ],
)
def test_openssl_finds_the_same_faults(ca, leaf, tmp_path, mode, words):
    der = OcspAnswers(ca, ca.ocsp_signer()).about(leaf.certificate, mode)
    assert words in openssl_says(ca, leaf, der, tmp_path)
    assert isinstance(judged(der, leaf, ca), Refused)


async def test_openssl_asks_the_responder_of_our_tests(ca, leaf):
    async with OcspResponder(OcspAnswers(ca, ca.ocsp_signer())) as responder:
        files = ("-issuer", str(ca.path), "-cert", str(leaf.chain_path), "-CAfile", str(ca.path))
        done = await asyncio.to_thread(run, "openssl", "ocsp", "-url", responder.url, *files)
    assert f"{leaf.chain_path}: good".encode() in done.stdout


@pytest.mark.parametrize("signer", sorted(SIGNERS))
def test_openssl_does_not_drop_our_staples(ca, leaf, signer):
    """Since 3.6 it silently drops what it cannot parse or what has another serial."""
    staple = judged(OcspAnswers(ca, SIGNERS[signer](ca)).about(leaf.certificate), leaf, ca)
    assert isinstance(staple, Staple)
    server = SSL.Context(SSL.TLS_METHOD)
    server.use_certificate_chain_file(str(leaf.chain_path))
    server.use_privatekey_file(str(leaf.key_path))
    server.set_ocsp_server_callback(lambda _connection, _data: staple.der)
    received = []
    client = client_context()
    client.set_ocsp_client_callback(lambda _connection, der, _data: not received.append(der))
    connection = SSL.Connection(server, None)
    connection.set_accept_state()
    connected(connection, context=client, wants_staple=True)
    assert received == [staple.der]
