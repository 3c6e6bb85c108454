"""TLS servers on loopback that present anything, also what nobody should: with any certificates,
chains, staples and versions of TLS.

    with tls_server(leaf, rsa_leaf, staple=der) as port: ...
    with old_server(leaf, newest=ssl.TLSVersion.TLSv1_2) as port: ...

Each connection is a thread that shakes hands, reads until its client goes, and goes.
"""

import contextlib
import socket
import ssl
import threading
import warnings
from collections.abc import Callable, Iterator

from cryptography import x509
from OpenSSL import SSL

from tests.support.ca import Leaf


def server_context(
    *leaves: Leaf, staple: bytes = b"", chain: tuple[x509.Certificate, ...] = ()
) -> SSL.Context:
    """Return a context that presents these leaves, one for each type of key."""
    context = SSL.Context(SSL.TLS_METHOD)
    context.set_min_proto_version(SSL.TLS1_3_VERSION)
    context.set_session_id(b"test")
    for leaf in leaves:
        context.use_certificate(leaf.certificate)
        context.use_privatekey(leaf.key)
    for certificate in chain:
        context.add_extra_chain_cert(certificate)
    context.set_ocsp_server_callback(lambda _connection, _data: staple)
    return context


@contextlib.contextmanager
def tls_server(*leaves: Leaf, context: SSL.Context | None = None, **options) -> Iterator[int]:
    """Serve TLS 1.3 with pyOpenSSL; yields the port."""
    context = context or server_context(*leaves, **options)

    def speak(client: socket.socket) -> None:
        connection = SSL.Connection(context, client)
        connection.set_accept_state()
        connection.do_handshake()
        with contextlib.suppress(SSL.ZeroReturnError):
            while connection.recv(4096):
                pass
        connection.shutdown()

    with listening(speak) as port:
        yield port


@contextlib.contextmanager
def old_server(leaf: Leaf, oldest: ssl.TLSVersion, newest: ssl.TLSVersion) -> Iterator[int]:
    """Serve a range of versions with the standard library; yields the port."""
    context = leaf.server_context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = oldest, newest

    def speak(client: socket.socket) -> None:
        with context.wrap_socket(client, server_side=True) as tls:
            while tls.recv(4096):
                pass

    with listening(speak) as port:
        yield port


@contextlib.contextmanager
def listening(speak: Callable[[socket.socket], None], host: str = "127.0.0.1") -> Iterator[int]:
    """Call `speak` with every connection, in a thread of its own; yields the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    threads: list[threading.Thread] = []
    spares: list[socket.socket] = []

    def one(client: socket.socket, spare: socket.socket) -> None:
        with spare, client, contextlib.suppress(OSError, SSL.Error):
            try:
                speak(client)
            finally:
                spare.shutdown(socket.SHUT_RDWR)

    def accept(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                spares.append(client.dup())  # wrapping a socket leaves the object empty
                threads.append(threading.Thread(target=one, args=(client, spares[-1])))
                threads[-1].start()

    with socket.create_server((host, 0), family=family) as listener:
        acceptor = threading.Thread(target=accept, args=(listener,))
        acceptor.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            acceptor.join()
            for spare in spares:  # an event loop that waits here may have ends of its own open
                with contextlib.suppress(OSError):
                    spare.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def closed_port() -> int:
    """Return a port on which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]
