"""Certificates with a responder, and what it says, for both servers of a comparison.

Each kind of key has a host name of its own, so that both servers choose by SNI; nginx takes one
stapled response for a server, not one for each certificate.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID

KINDS = ("ecdsa", "rsa")
_DAYS = 90

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Certificate:
    """The files of one kind; `staple` is a whole OCSP response in DER."""

    kind: str
    chain: Path
    key: Path
    staple: Path

    @property
    def host(self) -> str:
        """Its name, which clients ask for."""
        return f"{self.kind}.localhost"


@contextmanager
def certificates(folder: Path) -> Iterator[list[Certificate]]:
    """Make one certificate of each kind, and answer for them while the block runs."""
    with _responder() as answers:
        url = f"http://127.0.0.1:{answers.server_port}/"
        authority = ec.generate_private_key(ec.SECP256R1())
        name = _name("bench root")
        root = _builder(name, name, authority).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        issuer = root.sign(authority, hashes.SHA256())
        (folder / "ca.pem").write_bytes(issuer.public_bytes(Encoding.PEM))
        made = [_issue(folder, kind, issuer, authority, url) for kind in KINDS]
        for each in made:
            leaf = x509.load_pem_x509_certificate(each.chain.read_bytes())
            answers.responses[leaf.serial_number] = each.staple.read_bytes()
        yield made


def _issue(
    folder: Path,
    kind: str,
    issuer: x509.Certificate,
    authority: ec.EllipticCurvePrivateKey,
    url: str,
) -> Certificate:
    key: Key = (
        rsa.generate_private_key(65537, 2048)
        if kind == "rsa"
        else ec.generate_private_key(ec.SECP256R1())
    )
    made = Certificate(
        kind, folder / f"{kind}.pem", folder / f"{kind}-key.pem", folder / f"{kind}.ocsp"
    )
    access = x509.AccessDescription(
        AuthorityInformationAccessOID.OCSP, x509.UniformResourceIdentifier(url)
    )
    leaf = (
        _builder(_name(made.host), issuer.subject, key)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(made.host)]), critical=False)
        .add_extension(x509.AuthorityInformationAccess([access]), critical=False)
        .sign(authority, hashes.SHA256())
    )
    pem = leaf.public_bytes(Encoding.PEM) + issuer.public_bytes(Encoding.PEM)
    made.chain.write_bytes(pem)
    made.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    made.key.chmod(0o600)
    made.staple.write_bytes(_good(leaf, issuer, authority))
    return made


def _good(
    leaf: x509.Certificate, issuer: x509.Certificate, authority: ec.EllipticCurvePrivateKey
) -> bytes:
    now = datetime.now(UTC)
    answer = ocsp.OCSPResponseBuilder().add_response(
        leaf,
        issuer,
        hashes.SHA1(),
        ocsp.OCSPCertStatus.GOOD,
        now - timedelta(hours=1),
        now + timedelta(days=4),
        None,
        None,
    )
    signed = answer.responder_id(ocsp.OCSPResponderEncoding.NAME, issuer).sign(
        authority, hashes.SHA256()
    )
    return signed.public_bytes(Encoding.DER)


class _Answers(ThreadingHTTPServer):
    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.responses: dict[int, bytes] = {}


class _Handler(BaseHTTPRequestHandler):
    server: _Answers

    def do_POST(self) -> None:
        """Answer; the edge asks with GET first and then so."""
        length = int(self.headers["content-length"])
        request = ocsp.load_der_ocsp_request(self.rfile.read(length))
        data = self.server.responses[request.serial_number]
        self.send_response(200)
        self.send_header("content-type", "application/ocsp-response")
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self) -> None:
        """Have it asked again with POST."""
        self.send_error(405)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def _responder() -> Iterator[_Answers]:
    server = _Answers()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _builder(subject: x509.Name, issuer: x509.Name, key: Key) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=_DAYS))
    )
