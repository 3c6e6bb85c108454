"""A handshake in memory: the proof that certificate and key work before they go live.

Builds fresh contexts on both sides, so no half-loaded state can be left behind; trusts anybody,
since the chain to a root is for clients to judge.
"""

from cryptography import x509
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.material import PrivateKey
from edgeproxy.tls.parameters import TlsParameters, hardened_context, use_material

_FLIGHTS_MAX = 10  # TLS 1.3 needs three
_BUFFER_BYTES = 65536


def prove(chain: tuple[x509.Certificate, ...], key: PrivateKey) -> None:
    """Complete one TLS 1.3 handshake with them.

    Raises:
        CertificateError: it did not complete, for instance because no client of TLS 1.3 takes
            signatures on the key's curve.
    """
    context = hardened_context(TlsParameters())
    use_material(context, chain, key)
    server = SSL.Connection(context, None)
    server.set_accept_state()
    client = SSL.Connection(SSL.Context(SSL.TLS_METHOD), None)
    client.set_connect_state()
    try:
        shake_hands(client, server)
    except SSL.Error as error:
        raise CertificateError("a handshake with this certificate and key fails") from error


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
