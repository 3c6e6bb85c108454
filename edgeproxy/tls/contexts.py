"""The context that every connection starts on, and the identities it hands over to.

One front context is made once, before any worker exists, and never replaced: it owns the keys of
session tickets, so resumption works on all workers and over rotations (RFC 8446 section 4.6.1).
Identities come and go behind it: each has a context of its own, chosen by SNI (RFC 6066 section
3) while the ClientHello is read. Contexts are frozen once used, so a rotation builds new ones and
swaps one reference; connections that have begun keep what they have.

Invariants: no callback raises (an exception would surface on some later connection); the staple is
offered only to clients that ask, from the same identity as the certificate.
"""

from collections.abc import Sequence
from typing import Any, Literal

from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.hooks import (
    MISSING_EXTENSION,
    UNRECOGNIZED_NAME,
    on_protocols,
    on_server_name,
)
from edgeproxy.tls.identity import Identity
from edgeproxy.tls.parameters import TlsParameters, hardened_context, use_material

UnknownName = Literal["default", "reject"]


class FrontContext:
    """Makes server connections; `replace` swaps what new ones can become.

    `unknown_name` says what a ClientHello gets whose SNI is not covered, or that has none: the
    first identity, or an alert (unrecognized_name, missing_extension).
    """

    def __init__(
        self,
        identities: Sequence[Identity],
        *,
        parameters: TlsParameters | None = None,
        unknown_name: UnknownName = "default",
    ) -> None:
        self._parameters = parameters or TlsParameters()
        self._unknown_name = unknown_name
        self._chosen = _Choice(identities, self._parameters)
        self._front = hardened_context(self._parameters)
        self._hook = on_server_name(self._front, self._choose)

    @property
    def identities(self) -> tuple[Identity, ...]:
        """What new connections can become, the default first."""
        return self._chosen.identities

    def replace(self, identities: Sequence[Identity]) -> None:
        """Swap the identities for all connections that begin from now on.

        Raises:
            CertificateError: OpenSSL refuses one; nothing has changed then.
        """
        self._chosen = _Choice(identities, self._parameters)

    def new_connection(self) -> SSL.Connection:
        """Return the server's end of a connection over memory BIOs, in accept state."""
        connection = SSL.Connection(self._front, None)
        connection.set_accept_state()
        return connection

    def identity_of(self, connection: SSL.Connection) -> Identity:
        """Return what the connection became; only once its ClientHello has been read.

        Raises:
            LookupError: it has not.
        """
        identity: Identity | None = connection.get_context().get_app_data()
        if identity is None:
            raise LookupError("no ClientHello has been read on this connection")
        return identity

    def _choose(self, connection: SSL.Connection, name: bytes | None) -> int:
        """Hand the connection to the context of its SNI, or return an alert."""
        chosen = self._chosen
        context = chosen.context_for(name)
        if context is None:
            if self._unknown_name == "reject":
                return UNRECOGNIZED_NAME if name else MISSING_EXTENSION
            context = chosen.default
        connection.set_context(context)
        return 0


class _Choice:
    """Contexts by name: an immutable table that is swapped whole."""

    def __init__(self, identities: Sequence[Identity], parameters: TlsParameters) -> None:
        if not identities:
            raise CertificateError("at least one identity is needed")
        self.identities = tuple(identities)
        self._contexts: dict[str, SSL.Context] = {}
        self._keep: list[object] = []
        contexts = [self._context(identity, parameters) for identity in identities]
        self.default = contexts[0]
        for identity, context in zip(identities, contexts, strict=True):
            for name in identity.names:
                self._contexts.setdefault(name, context)

    def context_for(self, name: bytes | None) -> SSL.Context | None:
        """Find exact names first, then a wildcard for one label; None if nobody covers it."""
        if not name:
            return None
        host = name.decode("latin-1").lower().removesuffix(".")
        found = self._contexts.get(host)
        if found is None:
            _, dot, parent = host.partition(".")
            found = self._contexts.get(f"*.{parent}") if dot else None
        return found

    def _context(self, identity: Identity, parameters: TlsParameters) -> SSL.Context:
        context = hardened_context(parameters)
        try:
            use_material(context, identity.chain, identity.key)
        except CertificateError as error:
            raise CertificateError(f"identity {identity.name!r}: {error}") from error
        self._keep.append(on_protocols(context, parameters.protocols))
        context.set_app_data(identity)
        staple = identity.staple or b""

        def stapled(_connection: SSL.Connection, _data: Any) -> bytes:  # noqa: ANN401 - unused
            return staple

        context.set_ocsp_server_callback(stapled)
        return context
