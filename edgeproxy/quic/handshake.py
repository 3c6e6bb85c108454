"""The server's side of a handshake over QUIC (RFC 9001 section 4 and 8), on aioquic's TLS.

aioquic knows one certificate, no stapling, and tickets that somebody remembers. This context
chooses the identity by SNI while the ClientHello is read, by the same policy as over TCP
(`tls.contexts.FrontContext`); the credential by the client's signature algorithms; the staple while
it is usable, and only for who asks; and it seals and opens tickets (`tickets`).

Early data is accepted where `early` finds nothing against it, and by default never. aioquic would
take it from whoever resumes; here that is decided in the same moment, when the client has shown
that it owns the session.

Invariants: what a connection shows was one identity at one moment; no more is read of the
ClientHello than aioquic's parser reads, and an alert is raised for everything that is refused.
"""

import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from os import urandom
from typing import Any, Final

from aioquic import tls
from aioquic.buffer import Buffer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from edgeproxy.quic.early import SIZE_ANY
from edgeproxy.quic.settings import QuicSettings
from edgeproxy.quic.tickets import Session, identity_of
from edgeproxy.tls.credential import Credential
from edgeproxy.tls.handshakes import Handshake
from edgeproxy.tls.identity import Identity

CIPHER_SUITES: Final = (
    tls.CipherSuite.AES_128_GCM_SHA256,
    tls.CipherSuite.AES_256_GCM_SHA384,
    tls.CipherSuite.CHACHA20_POLY1305_SHA256,
)
GROUPS: Final = {
    "X25519": tls.Group.X25519,
    "P-256": tls.Group.SECP256R1,
    "P-384": tls.Group.SECP384R1,
}
"""Of the groups that may be configured, those that aioquic can do."""

_GROUP_NAMES: Final[dict[int, str]] = {number: name for name, number in GROUPS.items()}
_STATUS_REQUEST_OCSP: Final = b"\x01"
_NAME_BYTES_MAX: Final = 253  # RFC 1035 section 2.3.4, as text


class AlertUnrecognizedName(tls.Alert):
    """No certificate of ours is for that name (RFC 6066 section 3)."""

    description = tls.AlertDescription.unrecognized_name


class _StapledDer(bytes):
    """A certificate's octets that know what is to be said of it beside them."""

    staple: bytes = b""


class _Leaf:
    """Stands where aioquic expects a certificate, to hand the staple along with its octets."""

    def __init__(self, certificate: x509.Certificate, staple: bytes) -> None:
        self._certificate = certificate
        self._staple = staple

    def public_bytes(self, encoding: Encoding) -> bytes:
        der = _StapledDer(self._certificate.public_bytes(encoding))
        der.staple = self._staple
        return der


_push_certificate = tls.push_certificate


def _push_stapled_certificate(buf: Buffer, certificate: tls.Certificate) -> None:
    """Write a Certificate message whose entries may have a staple (RFC 8446 section 4.4.2.1)."""
    certificate.certificates = [
        (data, _status_request(data.staple))
        if isinstance(data, _StapledDer) and data.staple
        else (data, extensions)
        for data, extensions in certificate.certificates
    ]
    _push_certificate(buf, certificate)


# aioquic calls it by this name and leaves no other way to the extensions of an entry. For all other
# certificates it does what it did.
tls.push_certificate = _push_stapled_certificate


def _status_request(staple: bytes) -> bytes:
    body = _STATUS_REQUEST_OCSP + len(staple).to_bytes(3, "big") + staple
    return struct.pack("!HH", tls.ExtensionType.STATUS_REQUEST, len(body)) + body


class ServerTls(tls.Context):
    """One handshake; `identity` and `server_name` are known once its ClientHello was read.

    `server_name` is lower-case, None without SNI.
    """

    def __init__(self, settings: QuicSettings) -> None:
        super().__init__(
            is_client=False, alpn_protocols=list(settings.protocols), max_early_data=None
        )
        front, tickets = settings.front, settings.tickets
        self._settings = settings
        self._front = front
        self._tickets = tickets
        self._clock = settings.clock
        self._supported_groups = [
            GROUPS[name] for name in front.parameters.groups if name in GROUPS
        ]
        self._began = self._clock.now()  # of the session: an earlier moment once it is resumed
        self.identity: Identity | None = None
        self.server_name: str | None = None
        self._credential: Credential | None = None
        self._group = ""
        self._session: Session | None = None
        self._hello: tls.ClientHello | None = None
        if tickets.lifetime_seconds:
            self.get_session_ticket_cb = self._open

    # What aioquic sets when the client wants early data and has shown that the session is its own,
    # and asks when it says whether it is taken.
    @property
    def early_data_accepted(self) -> bool:
        """Whether early data is taken."""
        return self._is_early_data_accepted

    @early_data_accepted.setter
    def early_data_accepted(self, is_wanted: bool) -> None:
        self._is_early_data_accepted = is_wanted and self._accepts_early_data()

    def _accepts_early_data(self) -> bool:
        hello, session, identity = self._hello, self._session, self.identity
        if session is None or identity is None or hello is None or hello.pre_shared_key is None:
            raise tls.AlertInternalError("no session was resumed")
        ticket, age = hello.pre_shared_key.identities[0]
        settings = self._settings
        return settings.early.accepts(
            session.offer,
            identity_of(ticket),
            age,
            terms=settings.terms(identity.name),
            now=self._clock.monotonic(),
        )

    def note_completed(self) -> None:
        """Tell the observer of handshakes that this one is complete."""
        if self.session_resumed or self._credential is None:
            self._front.note(Handshake("completed", "resumed", self._group))
        else:
            self._front.note(Handshake("completed", "full", self._group, self._credential.kind))

    def _server_handle_hello(
        self, input_buf: Buffer, initial_buf: Buffer, handshake_buf: Buffer
    ) -> None:
        start = input_buf.tell()
        hello = tls.pull_client_hello(input_buf)
        input_buf.seek(start)
        self._prefer(hello)
        self._become(hello)
        self._hello = hello
        super()._server_handle_hello(input_buf, initial_buf, handshake_buf)
        self._hello = None
        if hello.early_data and not self.session_resumed:
            self._settings.early.refused("not_resumed")

    def _prefer(self, hello: tls.ClientHello) -> None:
        """Follow the client's order: it knows whether it has AES in hardware, and so on."""
        wanted = [suite for suite in CIPHER_SUITES if suite in hello.cipher_suites]
        wanted.sort(key=hello.cipher_suites.index)
        self._cipher_suites = wanted or list(CIPHER_SUITES)
        shares = [group for group, _ in hello.key_share or () if group in self._supported_groups]
        self._group = _GROUP_NAMES.get(shares[0], "") if shares else ""

    def _become(self, hello: tls.ClientHello) -> None:
        """Choose identity, credential and staple."""
        name = hello.server_name.encode("ascii") if hello.server_name else None
        identity = self._front.identity_for(name)
        if identity is None or len(name or b"") > _NAME_BYTES_MAX:
            if name is None:
                raise tls.AlertMissingExtension("a server name is needed")
            raise AlertUnrecognizedName("no certificate is for that name")
        self.identity = identity
        self.server_name = None if hello.server_name is None else hello.server_name.lower()
        credential = self._credential = self._chosen(identity, hello.signature_algorithms or [])
        staple = credential.staple
        is_asked = any(
            kind == tls.ExtensionType.STATUS_REQUEST and data.startswith(_STATUS_REQUEST_OCSP)
            for kind, data in hello.other_extensions
        )
        is_usable = is_asked and staple is not None and staple.is_usable(self._clock.now())
        leaf: Any = _Leaf(credential.leaf, staple.der if staple and is_usable else b"")
        self.certificate = leaf
        self.certificate_chain = list(credential.chain[1:])
        self.certificate_private_key = credential.key

    def _chosen(self, identity: Identity, offered: Sequence[int]) -> Credential:
        """Return the first credential whose signatures the client takes, else the first."""
        for credential in identity.credentials:
            self.certificate_private_key = credential.key
            if any(each in offered for each in self._signature_algorithms_for_private_key()):
                return credential
        return identity.credentials[0]

    def _open(self, ticket: bytes) -> tls.SessionTicket | None:
        """Return the session of a ticket of ours; aioquic compares its cipher suite."""
        session = self._tickets.open(
            ticket,
            server_name=self.server_name or "",
            protocol=self.alpn_negotiated or "",
            now=self._clock.now(),
        )
        if session is None:
            return None
        self._began = session.began
        self._session = session
        moment = tls.utcnow()
        return tls.SessionTicket(
            age_add=0,
            cipher_suite=tls.CipherSuite(session.cipher_suite),
            not_valid_after=moment + timedelta(hours=1),  # the ticket's age has been judged
            not_valid_before=datetime.fromtimestamp(0, UTC),
            resumption_secret=session.secret,
            server_name=session.server_name,
            ticket=ticket,
        )

    def _server_handle_finished(self, input_buf: Buffer, output_buf: Buffer) -> None:
        super()._server_handle_finished(input_buf, output_buf)  # without a ticket of its own
        if self._tickets.lifetime_seconds and self._psk_key_exchange_mode is not None:
            self._give_ticket(output_buf)

    def _give_ticket(self, output_buf: Buffer) -> None:
        if self.key_schedule is None or self.identity is None:
            raise tls.AlertInternalError("no keys")
        settings, age_add = self._settings, int.from_bytes(urandom(4), "big")
        offer = settings.early.offer(
            settings.terms(self.identity.name), age_add, self._clock.monotonic()
        )
        given = tls.NewSessionTicket(
            ticket_lifetime=self._tickets.lifetime_seconds,
            ticket_age_add=age_add,
            max_early_data_size=None if offer is None else SIZE_ANY,
        )
        session = Session(
            self._build_session_ticket(given, []).resumption_secret,
            int(self.key_schedule.cipher_suite),
            self.server_name or "",
            self.alpn_negotiated or "",
            self._began,
            offer,
        )
        given.ticket = self._tickets.seal(session, self._clock.now())
        tls.push_new_session_ticket(output_buf, given)
