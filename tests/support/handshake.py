"""Clients for handshakes in memory, against whatever makes server connections."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from OpenSSL import SSL

from edgeproxy.tls.credential import KeyKind
from edgeproxy.tls.hooks import is_resumed, set_signature_algorithms
from edgeproxy.tls.proof import SIGNATURE_ALGORITHMS, shake_hands

__all__ = ["alert", "client_context", "connected", "is_resumed", "read_tickets"]


def client_context(ca_file: Path | None = None, *, signs: KeyKind | None = None) -> SSL.Context:
    """Return a client's context; with `ca_file` it verifies the chain.

    With `signs` it accepts signatures of that kind only.
    """
    context = SSL.Context(SSL.TLS_METHOD)
    if signs is not None:
        set_signature_algorithms(context, SIGNATURE_ALGORITHMS[signs])
    if ca_file is not None:
        context.load_verify_locations(str(ca_file))
        context.set_verify(SSL.VERIFY_PEER, lambda *answer: bool(answer[-1]))
    return context


def connected(
    server: SSL.Connection,
    *,
    name: str | None = None,
    protocols: Sequence[bytes] = (),
    context: SSL.Context | None = None,
    session: Any = None,
    wants_staple: bool = False,
) -> SSL.Connection:
    """Return a client's connection after a handshake with `server`.

    Raises:
        SSL.Error: either end refused; `refusal` tells the client's view.
    """
    context = context or client_context()
    if protocols:
        context.set_alpn_protos(list(protocols))
    client = SSL.Connection(context, None)
    client.set_connect_state()
    if name is not None:
        client.set_tlsext_host_name(name.encode("ascii"))
    if session is not None:
        client.set_session(session)
    if wants_staple:
        client.request_ocsp()
    try:
        shake_hands(client, server)
    except SSL.Error as error:
        raise SSL.Error(alert(client) or error.args[0]) from error
    return client


def alert(client: SSL.Connection) -> str:
    """Return the alert that a client whose handshake broke off has received, or ""."""
    try:
        client.do_handshake()
    except SSL.WantReadError:
        return ""
    except SSL.Error as error:
        return str(error.args[0][-1][2]) if error.args and error.args[0] else ""
    return ""


def read_tickets(client: SSL.Connection, server: SSL.Connection) -> None:
    """Carry one octet from server to client, and with it the tickets that precede it."""
    server.send(b"x")
    client.bio_write(server.bio_read(65536))
    assert client.recv(1) == b"x"
