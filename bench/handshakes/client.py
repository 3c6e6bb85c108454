"""Connections that shake hands and take leave, one after the other.

python -m bench.handshakes.client PORT HOST NUMBER full|resumed staple|plain

Exits with a message when a handshake is not of the kind that was asked for. Key exchange is X25519:
every server has it.
"""

import contextlib
import socket
import sys

from OpenSSL import SSL

from edgeproxy.tls.hooks import is_resumed, set_groups


class Client:
    """Makes connections of one kind."""

    def __init__(self, port: int, host: str, *, wants_staple: bool) -> None:
        self._port = port
        self._host = host.encode()
        self._wants_staple = wants_staple
        self._stapled: list[bytes] = []
        self._context = SSL.Context(SSL.TLS_METHOD)
        self._context.set_min_proto_version(SSL.TLS1_3_VERSION)
        set_groups(self._context, ["X25519"])
        self._context.set_ocsp_client_callback(self._take_staple)

    def shake(self, session: object | None) -> object | None:
        """Shake hands, wait for the end, and return the session that came."""
        with socket.create_connection(("127.0.0.1", self._port), 10) as sock:
            sock.settimeout(None)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = SSL.Connection(self._context, sock)
            connection.set_connect_state()
            connection.set_tlsext_host_name(self._host)
            if self._wants_staple:
                connection.request_ocsp()
            if session is not None:
                connection.set_session(session)  # type: ignore[arg-type]
            self._stapled.clear()
            connection.do_handshake()
            self._check(connection, expects_resumption=session is not None)
            connection.shutdown()
            with contextlib.suppress(SSL.ZeroReturnError, SSL.SysCallError):
                connection.recv(1)  # tickets come before the end
            return connection.get_session()

    def _check(self, connection: SSL.Connection, *, expects_resumption: bool) -> None:
        if is_resumed(connection) != expects_resumption:
            sys.exit(f"resumed: {is_resumed(connection)}, wanted: {expects_resumption}")
        expects_staple = self._wants_staple and not expects_resumption
        if any(self._stapled) != expects_staple:
            sys.exit(f"stapled: {any(self._stapled)}, wanted: {expects_staple}")

    def _take_staple(self, _connection: SSL.Connection, der: bytes, _data: object) -> bool:
        self._stapled.append(der)
        return True


def main(port: str, host: str, number: str, how: str, staple: str) -> None:
    """Shake hands so often."""
    client = Client(int(port), host, wants_staple=staple == "staple")
    session = client.shake(None) if how == "resumed" else None
    for _ in range(int(number)):
        came = client.shake(session)
        if session is not None:
            session = came


if __name__ == "__main__":
    main(*sys.argv[1:])
