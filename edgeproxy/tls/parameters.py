"""The TLS parameters that every context of ours has (RFC 8446).

TLS 1.3 only, no early data, no renegotiation (there is none in 1.3), no compression. The client's
order of cipher suites is followed: it knows whether it has AES in hardware. Sessions are resumed by
stateless tickets, whose lifetime is at most the seven days of section 4.6.1; the keys that seal
them, their lifetime and whether there are any belong to the context a connection starts on, so that
context must live as long as the process (see `contexts.py`).
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.credential import Credential
from edgeproxy.tls.hooks import set_groups

SESSION_ID_CONTEXT: Final = b"edgeproxy"
_CIPHER_SUITES: Final = (
    b"TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
)
TICKET_LIFETIME_MAX: Final = 7 * 24 * 3600
DEFAULT_GROUPS: Final = ("X25519MLKEM768", "X25519", "P-256")
GROUPS: Final = {
    "X25519MLKEM768": "X25519MLKEM768",
    "SecP256r1MLKEM768": "SecP256r1MLKEM768",
    "SecP384r1MLKEM1024": "SecP384r1MLKEM1024",
    "X25519": "x25519",
    "X448": "x448",
    "P-256": "secp256r1",
    "P-384": "secp384r1",
    "P-521": "secp521r1",
}
"""The key exchange groups that may be offered, and what OpenSSL calls each one that was used.

Those of RFC 8446 section 4.2.7 that browsers know, and the hybrids of post-quantum exchange; no
finite fields, which are slow, and no exchange that is post-quantum alone.
"""


@dataclass(frozen=True, slots=True)
class TlsParameters:
    """What an operator may choose; everything else is fixed.

    `protocols` is the ALPN list in our order of preference. `groups` are names of `GROUPS`, the
    hybrid post-quantum one first because most browsers send a share for it. Tickets live a day:
    nginx says 5 minutes, Cloudflare 18 hours; with 0 no session is resumed.
    """

    protocols: tuple[bytes, ...] = (b"h2", b"http/1.1", b"http/1.0")
    groups: tuple[str, ...] = DEFAULT_GROUPS
    ticket_lifetime_seconds: int = 24 * 3600

    def __post_init__(self) -> None:
        if not 0 <= self.ticket_lifetime_seconds <= TICKET_LIFETIME_MAX:
            raise ValueError("ticket_lifetime_seconds must be between 0 and 604800")
        if not self.protocols or not all(0 < len(name) < 256 for name in self.protocols):
            raise ValueError("protocols must be ALPN names")


def is_supported(group: str) -> bool:
    """Tell whether this OpenSSL has a key exchange group."""
    try:
        set_groups(SSL.Context(SSL.TLS_METHOD), [group])
    except CertificateError:
        return False
    return True


def hardened_context(parameters: TlsParameters) -> SSL.Context:
    """Return a server context without certificate and callbacks."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_max_proto_version(SSL.TLS1_3_VERSION)
    context.set_tls13_ciphersuites(_CIPHER_SUITES)
    set_groups(context, parameters.groups)
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)  # some 34 KiB per idle connection
    context.set_session_id(SESSION_ID_CONTEXT)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)  # tickets are stateless
    # OpenSSL takes 0 for its default of two hours. Without tickets it still sends two, which lead
    # into the cache that is off; the second that they claim to live is for clients to forget them.
    context.set_timeout(parameters.ticket_lifetime_seconds or 1)
    if not parameters.ticket_lifetime_seconds:
        context.set_options(SSL.OP_NO_TICKET)
    return context


def use_credentials(context: SSL.Context, credentials: Sequence[Credential]) -> None:
    """Give a fresh context its certificates, each with a chain of its own, and their keys.

    Raises:
        CertificateError: OpenSSL does not take them together. The context is then half loaded:
            throw it away.
    """
    try:
        for credential in credentials:
            # A chain that is added certificate by certificate would be that of all credentials.
            with _as_file(_pem(credential)) as path:
                context.use_certificate_chain_file(path)
            context.use_privatekey(credential.key)
            context.check_privatekey()  # a key that does not match has dropped the certificate
    except (SSL.Error, TypeError, ValueError) as error:
        raise CertificateError("OpenSSL refuses certificate and key together") from error


def _pem(credential: Credential) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in credential.chain)


@contextlib.contextmanager
def _as_file(data: bytes) -> Iterator[str]:
    """Lend a path under which the data can be read: in memory, on disk where that cannot be."""
    try:
        descriptor = os.memfd_create("chain")
    except (OSError, AttributeError):
        descriptor = -1
    with contextlib.ExitStack() as stack:
        path = Path(f"/proc/self/fd/{descriptor}")
        if descriptor >= 0:
            stack.callback(os.close, descriptor)
        if descriptor >= 0 and path.exists():
            os.write(descriptor, data)
            yield str(path)
        else:
            file = stack.enter_context(tempfile.NamedTemporaryFile())
            file.write(data)
            file.flush()
            yield file.name
