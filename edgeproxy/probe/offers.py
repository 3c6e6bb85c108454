"""What a ClientHello of ours offers, and the contexts that say so.

Which certificate a server of TLS 1.3 presents follows the client's signature algorithms (RFC 8446
section 4.2.3), so one family at a time shows one certificate at a time. The RSASSA-PKCS1-v1_5
values beside the ECDSA ones speak of signatures in chains only; for RSA leaves nothing can be said
of ECDSA chains without inviting an ECDSA leaf, and servers send their chain all the same.

Sets what pyOpenSSL has no public method for (`tests/unit/probe/test_offers.py` is the contract).
Trust is judged while shaking hands and written down, never enforced: who asks wants to see.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

from OpenSSL import SSL

from edgeproxy.errors import CertificateError

KeyType = Literal["ecdsa", "rsa"]
KEY_TYPES: Final[tuple[KeyType, ...]] = ("ecdsa", "rsa")
VERSIONS: Final = {
    "TLSv1.3": SSL.TLS1_3_VERSION,
    "TLSv1.2": SSL.TLS1_2_VERSION,
    "TLSv1.1": SSL.TLS1_1_VERSION,
    "TLSv1": SSL.TLS1_VERSION,
}
"""OpenSSL's names."""

_lib: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001 - see the module's docstring
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001

_HASHES: Final = ("sha256", "sha384", "sha512")
_PKCS1: Final = tuple(f"rsa_pkcs1_{digest}" for digest in _HASHES)
_PSS: Final = tuple(f"rsa_pss_{kind}_{digest}" for kind in ("rsae", "pss") for digest in _HASHES)
_ECDSA: Final = ("ecdsa_secp256r1_sha256", "ecdsa_secp384r1_sha384", "ecdsa_secp521r1_sha512")
SIGNATURES: Final[dict[KeyType, tuple[str, ...]]] = {
    "ecdsa": (*_ECDSA, *_PKCS1),
    "rsa": (*_PSS, *_PKCS1),
}
# Old versions need what no security level above 0 allows: SHA-1 and CBC.
_EVERYTHING: Final = b"ALL:@SECLEVEL=0"
# X509_V_ERR_CERT_NOT_YET_VALID, X509_V_ERR_CERT_HAS_EXPIRED
_DATES: Final = frozenset({9, 10})


@dataclass(frozen=True, slots=True)
class Offer:
    """One kind of ClientHello: signature algorithms (None: all of them), versions, staple, ALPN."""

    key_type: KeyType | None = None
    oldest: str = "TLSv1.2"
    newest: str = "TLSv1.3"
    wants_staple: bool = True
    protocols: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Distrust:
    """Why a certificate (depth 0: the leaf) was not trusted; `is_of_dates`: for its dates alone."""

    depth: int
    is_of_dates: bool
    text: str


@dataclass(slots=True)
class Notes:
    """What is written down while one connection shakes hands."""

    distrust: list[Distrust] = field(default_factory=list)
    staple: bytes = b""


class Contexts:
    """Makes client connections; every kind of offer has one context, made when it is first asked.

    `ca_file` is whom to trust in place of the system's authorities; `is_trusting` judges nobody.

    Raises:
        CertificateError: the file of authorities cannot be used.
    """

    def __init__(self, ca_file: Path | None = None, *, is_trusting: bool = False) -> None:
        self._ca_file = ca_file
        self.is_trusting = is_trusting
        self._made: dict[Offer, SSL.Context] = {}
        if not is_trusting:
            self._trust(SSL.Context(SSL.TLS_METHOD))  # a bad file is said at once

    def connection(self, offer: Offer, sni: str | None) -> tuple[SSL.Connection, Notes]:
        """Return a connection that has not begun, and what will be noted of it."""
        if offer not in self._made:
            self._made[offer] = self._context(offer)
        connection = SSL.Connection(self._made[offer], None)
        notes = Notes()
        connection.set_app_data(notes)
        connection.set_connect_state()
        if sni is not None:
            connection.set_tlsext_host_name(sni.encode("ascii"))
        if offer.wants_staple:
            connection.request_ocsp()
        return connection, notes

    def _context(self, offer: Offer) -> SSL.Context:
        context = SSL.Context(SSL.TLS_METHOD)
        context.set_min_proto_version(VERSIONS[offer.oldest])
        context.set_max_proto_version(VERSIONS[offer.newest])
        if offer.newest != "TLSv1.3":
            context.set_cipher_list(_EVERYTHING)
        if offer.key_type is not None:
            set_signature_algorithms(context, SIGNATURES[offer.key_type])
        if offer.protocols:
            context.set_alpn_protos([each.encode("ascii") for each in offer.protocols])
        context.set_ocsp_client_callback(_note_staple)
        if not self.is_trusting:
            self._trust(context)
            context.set_verify(SSL.VERIFY_PEER, _note_distrust)
        return context

    def _trust(self, context: SSL.Context) -> None:
        if self._ca_file is None:
            context.set_default_verify_paths()
            return
        try:
            context.load_verify_locations(str(self._ca_file))
        except SSL.Error as error:
            raise CertificateError(f"{self._ca_file}: no certificates to trust in it") from error


def set_signature_algorithms(context: SSL.Context, algorithms: tuple[str, ...]) -> None:
    """Offer these signature algorithms only, by their names in the registry of RFC 8446.

    Raises:
        CertificateError: this OpenSSL does not know one of them.
    """
    raw: Any = context
    wanted = ":".join(algorithms).encode("ascii")
    if _lib.SSL_CTX_set1_sigalgs_list(raw._context, wanted) != 1:  # noqa: SLF001 - see above
        _lib.ERR_clear_error()
        raise CertificateError(f"unknown signature algorithm among {', '.join(algorithms)}")


def is_resumed(connection: SSL.Connection) -> bool:
    """Whether the handshake took up an earlier session (RFC 8446 section 2.2)."""
    raw: Any = connection
    return bool(_lib.SSL_session_reused(raw._ssl))  # noqa: SLF001 - see above


def session_mark(connection: SSL.Connection) -> object:
    """Return a value that is another one once a ticket has arrived.

    In TLS 1.3 a session can be resumed only after a NewSessionTicket (section 4.6.1), for which
    OpenSSL puts a new session in place of the old one, which must be kept alive by `get_session`
    for the comparison: its memory could otherwise be the next one's.
    """
    raw: Any = connection
    return int(_ffi.cast("uintptr_t", _lib.SSL_get_session(raw._ssl)))  # noqa: SLF001 - see above


def _note_staple(connection: SSL.Connection, staple: bytes, _data: object) -> bool:
    notes: Notes = connection.get_app_data()
    notes.staple = staple
    return True


def _note_distrust(
    connection: SSL.Connection, _certificate: object, code: int, depth: int, _is_fine: int
) -> bool:
    if code:
        notes: Notes = connection.get_app_data()
        text = _ffi.string(_lib.X509_verify_cert_error_string(code)).decode("utf-8", "replace")
        notes.distrust.append(Distrust(depth, code in _DATES, text))
    return True
