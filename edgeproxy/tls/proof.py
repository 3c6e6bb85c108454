"""Handshakes in memory: the proof that certificates and keys work before they go live.

Builds fresh contexts on both sides, so no half-loaded state can be left behind; trusts anybody,
since the chain to a root is for clients to judge. Each client accepts one kind of signature only,
so that what it is shown is known beforehand.
"""

from collections.abc import Sequence
from typing import Final

from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.credential import Credential, KeyKind
from edgeproxy.tls.hooks import set_signature_algorithms
from edgeproxy.tls.parameters import TlsParameters, hardened_context, use_credentials

_FLIGHTS_MAX = 10  # TLS 1.3 needs three
_BUFFER_BYTES = 65536

# What TLS 1.3 knows of each kind (RFC 8446 section 4.2.3), by OpenSSL's names.
SIGNATURE_ALGORITHMS: Final[dict[KeyKind, tuple[str, ...]]] = {
    "ecdsa": (
        "ecdsa_secp256r1_sha256",
        "ecdsa_secp384r1_sha384",
        "ecdsa_secp521r1_sha512",
    ),
    "rsa": (
        "rsa_pss_rsae_sha256",
        "rsa_pss_rsae_sha384",
        "rsa_pss_rsae_sha512",
        "rsa_pss_pss_sha256",
        "rsa_pss_pss_sha384",
        "rsa_pss_pss_sha512",
    ),
}


def prove(credentials: Sequence[Credential]) -> None:
    """Complete one TLS 1.3 handshake for each credential of a context that has all of them.

    Raises:
        CertificateError: one did not complete, for instance because no client of TLS 1.3 takes
            signatures on the key's curve; or the client was shown something else.
    """
    context = hardened_context(TlsParameters())
    use_credentials(context, credentials)
    for credential in credentials:
        _prove(context, credential)


def _prove(context: SSL.Context, expected: Credential) -> None:
    server = SSL.Connection(context, None)
    server.set_accept_state()
    choosy = SSL.Context(SSL.TLS_METHOD)
    set_signature_algorithms(choosy, SIGNATURE_ALGORITHMS[expected.kind])
    client = SSL.Connection(choosy, None)
    client.set_connect_state()
    try:
        shake_hands(client, server)
    except SSL.Error as error:
        raise CertificateError("a handshake with this certificate and key fails") from error
    if tuple(client.get_peer_cert_chain(as_cryptography=True) or ()) != expected.chain:
        raise CertificateError("a handshake shows another chain than this one")


def shake_hands(client: SSL.Connection, server: SSL.Connection) -> None:
    """Pass flights between two ends until both are done.

    Raises:
        SSL.Error: either end refused, or they never finished.
    """
    ends = ((client, server), (server, client))
    waiting = {client, server}
    for _ in range(_FLIGHTS_MAX):
        for this, other in ends:
            try:
                this.do_handshake()
                waiting.discard(this)
            except SSL.WantReadError:
                pass
            finally:
                _carry(this, other)
        if not waiting:
            return
    raise SSL.Error([("", "", "the handshake does not end")])


def _carry(source: SSL.Connection, destination: SSL.Connection) -> None:
    while True:
        try:
            destination.bio_write(source.bio_read(_BUFFER_BYTES))
        except SSL.WantReadError:
            return
