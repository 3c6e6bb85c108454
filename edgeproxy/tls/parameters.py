"""The TLS parameters that every context of ours has (RFC 8446).

TLS 1.3 only, no early data, no renegotiation (there is none in 1.3), no compression. The client's
order of cipher suites is followed: it knows whether it has AES in hardware. Sessions are resumed by
stateless tickets, whose lifetime is at most the seven days of section 4.6.1; the keys that seal
them belong to the context a connection starts on, so that context must live as long as the process
(see `contexts.py`).
"""

from dataclasses import dataclass
from typing import Final

from cryptography import x509
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.hooks import set_groups
from edgeproxy.tls.material import PrivateKey

_SESSION_ID_CONTEXT: Final = b"edgeproxy"
_CIPHER_SUITES: Final = (
    b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
)
TICKET_LIFETIME_MAX: Final = 7 * 24 * 3600


@dataclass(frozen=True, slots=True)
class TlsParameters:
    """What an operator may choose; everything else is fixed.

    `protocols` is the ALPN list in our order of preference. `groups` are OpenSSL's names, the
    hybrid post-quantum one first because most browsers send a share for it. Tickets live a day:
    nginx says 5 minutes, Cloudflare 18 hours.
    """

    protocols: tuple[bytes, ...] = (b"h2", b"http/1.1", b"http/1.0")
    groups: tuple[str, ...] = ("X25519MLKEM768", "X25519", "P-256")
    ticket_lifetime_seconds: int = 24 * 3600

    def __post_init__(self) -> None:
        if not 0 < self.ticket_lifetime_seconds <= TICKET_LIFETIME_MAX:
            raise ValueError("ticket_lifetime_seconds must be between 1 and 604800")
        if not self.protocols or not all(0 < len(name) < 256 for name in self.protocols):
            raise ValueError("protocols must be ALPN names")


def hardened_context(parameters: TlsParameters) -> SSL.Context:
    """Return a server context without certificate and callbacks."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(_CIPHER_SUITES)
    set_groups(context, parameters.groups)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # some 34 KiB per idle connection
    context.set_session_id(_SESSION_ID_CONTEXT)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # tickets are stateless
    context.set_timeout(parameters.ticket_lifetime_seconds)
    return context


def use_material(
    context: SSL.Context, chain: tuple[x509.Certificate, ...], key: PrivateKey
) -> None:
    """Give a fresh context its certificate, chain and key.

    Raises:
        CertificateError: OpenSSL does not take them together. The context is then half loaded:
            throw it away.
    """
    try:
        context.use_certificate(chain[0])
        for certificate in chain[1:]:
            context.add_extra_chain_cert(certificate)
        context.use_privatekey(key)
        context.check_privatekey()
    except (SSL.Error, TypeError, ValueError) as error:
        raise CertificateError("OpenSSL refuses certificate and key together") from error
