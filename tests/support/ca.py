"""A certificate authority for tests: it issues anything, also what nobody should accept.

ca = LocalCa(tmp_path)
leaf = ca.issue("origin.test", "127.0.0.1")
server = leaf.server_context()          # an `ssl.SSLContext` for a raw server
client = ca.client_context()            # one that trusts this authority only
"""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtendedKeyUsageOID, NameOID

from edgeproxy.tls.files import KeyPairFiles

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
PrivateKey = Key | ed25519.Ed25519PrivateKey
KeyKind = Literal["ecdsa", "rsa", "weak-rsa", "secp256k1"]


def now() -> datetime:
    return datetime.now(UTC)


def new_key(kind: KeyKind = "ecdsa") -> Key:
    if kind == "ecdsa":
        return ec.generate_private_key(ec.SECP256R1())
    if kind == "secp256k1":  # long enough, but TLS 1.3 has no signatures on it
        return ec.generate_private_key(ec.SECP256K1())
    return rsa.generate_private_key(65537, 2048 if kind == "rsa" else 1024)


def certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def key_pem(key: Key, password: bytes | None = None) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption(),
    )


@dataclass(frozen=True)
class Leaf:
    """An issued certificate, its chain below the root, and its files."""

    chain: tuple[x509.Certificate, ...]
    key: Key
    chain_path: Path
    key_path: Path

    @property
    def certificate(self) -> x509.Certificate:
        return self.chain[0]

    @property
    def files(self) -> KeyPairFiles:
        return KeyPairFiles(self.chain_path, self.key_path)

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain_path, self.key_path)
        return context


class LocalCa:
    """A root, and on request an authority below it, kept in a directory."""

    def __init__(
        self,
        directory: Path,
        name: str = "test root",
        *,
        issuer: "LocalCa | None" = None,
        key: KeyKind = "ecdsa",
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._issuer = issuer
        self._issued = 0
        self.key = new_key(key)
        self.certificate = self._sign_self(name)
        self.path = directory / f"{name.replace(' ', '-')}.pem"
        self.path.write_bytes(certificate_pem(self.certificate))

    def intermediate(self, name: str = "test intermediate") -> "LocalCa":
        return LocalCa(self._directory, name, issuer=self)

    def issue(
        self,
        *names: str,
        key: KeyKind = "ecdsa",
        days: float = 30,
        starts_in_days: float = -1,
        directory: Path | None = None,
        ocsp_url: str | None = None,
        must_staple: bool = False,
    ) -> Leaf:
        """Issue for these DNS names and IP addresses; `days` may be negative: expired."""
        self._issued += 1
        place = directory or self._directory / f"leaf-{self.path.stem}-{self._issued}"
        place.mkdir(parents=True, exist_ok=True)
        private = new_key(key)
        more = _about_ocsp(ocsp_url, must_staple)
        certificate = self._sign_leaf(private, names, days, starts_in_days, more)
        below_root = () if self._issuer is None else (self.certificate,)
        leaf = Leaf((certificate, *below_root), private, place / "fullchain.pem", place / "key.pem")
        leaf.chain_path.write_bytes(b"".join(map(certificate_pem, leaf.chain)))
        leaf.key_path.write_bytes(key_pem(private))
        leaf.key_path.chmod(0o600)
        return leaf

    def ocsp_signer(
        self,
        *,
        key: PrivateKey | None = None,
        days: float = 30,
        has_usage: bool = True,
        name: str = "OCSP responder",
    ) -> tuple[x509.Certificate, PrivateKey]:
        """Appoint a responder (RFC 6960 section 4.2.2.2); without `has_usage` only it seems so."""
        private = key or new_key()
        usage = ExtendedKeyUsageOID.OCSP_SIGNING if has_usage else ExtendedKeyUsageOID.SERVER_AUTH
        builder = (
            _builder(_name(name), self._subject, private, min(-1, days - 1), days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.OCSPNoCheck(), critical=False)
        )
        return builder.sign(self.key, hashes.SHA256()), private

    def client_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.path)

    def _sign_self(self, name: str) -> x509.Certificate:
        subject = _name(name)
        issuer = self if self._issuer is None else self._issuer
        issuer_name = subject if self._issuer is None else self._issuer.certificate.subject
        return (
            _builder(subject, issuer_name, self.key, -1, 365)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(_usage(is_ca=True), critical=True)
            .add_extension(_subject_identifier(self.key), critical=False)
            .sign(issuer.key, hashes.SHA256())
        )

    def _sign_leaf(
        self,
        key: Key,
        names: tuple[str, ...],
        days: float,
        starts_in_days: float,
        more: tuple[x509.ExtensionType, ...] = (),
    ) -> x509.Certificate:
        starts = min(starts_in_days, days - 1)
        builder = (
            _builder(_name(names[0] if names else "nobody"), self._subject, key, starts, days)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_ca=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        if names:
            alternative = x509.SubjectAlternativeName([_general_name(name) for name in names])
            builder = builder.add_extension(alternative, critical=False)
        for extension in more:
            builder = builder.add_extension(extension, critical=False)
        return builder.sign(self.key, hashes.SHA256())

    @property
    def _subject(self) -> x509.Name:
        return self.certificate.subject


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _about_ocsp(url: str | None, must_staple: bool) -> tuple[x509.ExtensionType, ...]:
    extensions: list[x509.ExtensionType] = []
    if url is not None:
        place = x509.UniformResourceIdentifier(url)
        access = x509.AccessDescription(AuthorityInformationAccessOID.OCSP, place)
        extensions.append(x509.AuthorityInformationAccess([access]))
    if must_staple:
        extensions.append(x509.TLSFeature([x509.TLSFeatureType.status_request]))
    return tuple(extensions)


def _subject_identifier(key: Key) -> x509.SubjectKeyIdentifier:
    return x509.SubjectKeyIdentifier.from_public_key(key.public_key())


def _usage(*, is_ca: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_ca,
        key_cert_sign=is_ca,
        crl_sign=is_ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _builder(
    subject: x509.Name, issuer: x509.Name, key: PrivateKey, starts: float, ends: float
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now() + timedelta(days=starts))
        .not_valid_after(now() + timedelta(days=ends))
    )
