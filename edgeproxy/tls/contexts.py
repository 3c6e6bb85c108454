"""The context that every connection starts on, and the identities it hands over to.

One front context is made once, before any worker exists, and never replaced: it owns the keys of
session tickets, so resumption works on all workers and over rotations (RFC 8446 section 4.6.1).
Identities come and go behind it: each has a context of its own, chosen by SNI (RFC 6066 section
3) while the ClientHello is read. Contexts are frozen once used, so a rotation builds new ones and
swaps one reference; connections that have begun keep what they have.

A ticket lives as long as the parameters say, but OpenSSL starts the clock again for the tickets of
a resumed session, so that a session could go on for ever. It ends with the front's period: the
session ID context changes once a week, and no ticket of an earlier one is taken.

A client may resume a session of one name under another (section 4.6.1 leaves that to the client):
the connection then becomes the identity of its own SNI, and nothing of the earlier one.

Invariants: no callback raises (an exception would surface on some later connection); the staple is
offered only to clients that ask, while it is usable, and belongs to the certificate that this
handshake chose.
"""

from collections.abc import Callable, Sequence
from typing import Final, Literal

from OpenSSL import SSL

from edgeproxy.clock import Clock, SystemClock
from edgeproxy.errors import CertificateError
from edgeproxy.tls.credential import Credential
from edgeproxy.tls.handshakes import Handshake, outcome_of, outcome_of_refusal
from edgeproxy.tls.hooks import (
    MISSING_EXTENSION,
    UNRECOGNIZED_NAME,
    certificate_address,
    is_resumed,
    on_protocols,
    on_server_name,
    on_status_request,
    set_groups,
    set_session_id_context,
    set_ticket_lifetime,
)
from edgeproxy.tls.identity import Identity
from edgeproxy.tls.parameters import (
    GROUPS,
    SESSION_ID_CONTEXT,
    TlsParameters,
    hardened_context,
    use_credentials,
)

UnknownName = Literal["default", "reject"]

# What RFC 8446 section 4.6.1 allows one ticket; we let it be the end of a chain of them.
SESSION_LIFETIME_SECONDS: Final = 7 * 24 * 3600

_CONFIGURED_NAMES: Final = {used: name for name, used in GROUPS.items()}


class FrontContext:
    """Makes server connections; `replace` swaps what new ones can become.

    `unknown_name` says what a ClientHello gets whose SNI is not covered: the default identity or
    the alert unrecognized_name. `no_name` says the same of one without SNI (missing_extension);
    None: as `unknown_name`. `withheld` are names, as they stand in certificates, that are known but
    must not be served now: they always get unrecognized_name. The default identity is the first
    that has no withheld name; without any, unknown names are refused whatever the policy.
    `observe` is told of every handshake that is over.
    """

    def __init__(
        self,
        identities: Sequence[Identity],
        *,
        withheld: Sequence[str] = (),
        parameters: TlsParameters | None = None,
        unknown_name: UnknownName = "default",
        no_name: UnknownName | None = None,
        clock: Clock | None = None,
        observe: Callable[[Handshake], object] | None = None,
    ) -> None:
        self._parameters = parameters or TlsParameters()
        self._rejects_unknown = unknown_name == "reject"
        self._rejects_nameless = (no_name or unknown_name) == "reject"
        self._clock = clock or SystemClock()
        self._observe = observe
        self._chosen = _Choice(self._contexts(identities), withheld)
        self._front = hardened_context(self._parameters)
        self._hook = on_server_name(self._front, self._choose)
        self._began = self._clock.monotonic()
        self._period = 0

    def tell(self, observe: Callable[[Handshake], object]) -> None:
        """Tell somebody else of handshakes: a process that this context was inherited by."""
        self._observe = observe

    @property
    def identities(self) -> tuple[Identity, ...]:
        """What new connections can become, the default first unless it is withheld."""
        return self._chosen.identities

    def replace(self, identities: Sequence[Identity], *, withheld: Sequence[str] = ()) -> None:
        """Swap identities and withheld names for all connections that begin from now on.

        An identity that stays the same object keeps its context.

        Raises:
            CertificateError: OpenSSL refuses one; nothing has changed then.
        """
        self._chosen = _Choice(self._contexts(identities, self._chosen), withheld)

    def adopt(
        self,
        parameters: TlsParameters,
        *,
        unknown_name: UnknownName,
        no_name: UnknownName | None,
    ) -> None:
        """Begin new connections by another policy; those that have begun keep theirs.

        Keys of tickets stay. Whether there are tickets at all is settled for the life of the
        context: OpenSSL's bindings can set that option and not take it back. A connection copies
        groups from the front context, so contexts of identities need not be made again.

        Raises:
            ValueError: tickets would have to come or go.
            CertificateError: OpenSSL knows one of the groups not; nothing has changed then.
        """
        if bool(parameters.ticket_lifetime_seconds) != bool(
            self._parameters.ticket_lifetime_seconds
        ):
            raise ValueError("tickets cannot come or go")
        set_groups(self._front, parameters.groups)
        set_ticket_lifetime(self._front, parameters.ticket_lifetime_seconds or 1)
        self._parameters = parameters
        self._rejects_unknown = unknown_name == "reject"
        self._rejects_nameless = (no_name or unknown_name) == "reject"

    @property
    def parameters(self) -> TlsParameters:
        """What an operator chose, as it is for connections that begin now."""
        return self._parameters

    def identity_for(self, name: bytes | None) -> Identity | None:
        """Return what a connection with that SNI becomes, None where an alert refuses it.

        For handshakes that OpenSSL does not do (`quic/handshake`); the policy is one for both.
        """
        context = self._context_for(name)
        return None if context is None else _identity(context)

    def note(self, handshake: Handshake) -> None:
        """Tell the observer of a handshake that OpenSSL did not do."""
        if self._observe is not None:
            self._observe(handshake)

    def new_connection(self) -> SSL.Connection:
        """Return the server's end of a connection over memory BIOs, in accept state."""
        period = int((self._clock.monotonic() - self._began) // SESSION_LIFETIME_SECONDS)
        if period != self._period:
            self._period = period
            set_session_id_context(self._front, b"%s %d" % (SESSION_ID_CONTEXT, period))
        connection = SSL.Connection(self._front, None)
        connection.set_accept_state()
        return connection

    def identity_of(self, connection: SSL.Connection) -> Identity:
        """Return what the connection became; only once its ClientHello has been read.

        Raises:
            LookupError: it has not.
        """
        selection = _selection(connection.get_context())
        if selection is None:
            raise LookupError("no ClientHello has been read on this connection")
        return selection.identity

    def completed(self, connection: SSL.Connection) -> None:
        """Tell the observer of a handshake that is complete."""
        if self._observe is None:
            return
        group = connection.get_group_name() or ""
        group = _CONFIGURED_NAMES.get(group, group)
        selection = _selection(connection.get_context())
        if selection is None or is_resumed(connection):
            self._observe(Handshake("completed", "resumed", group))
        else:
            kind = selection.credential_of(connection).kind
            self._observe(Handshake("completed", "full", group, kind))

    def failed(self, connection: SSL.Connection, reason: str) -> None:
        """Tell the observer of a handshake that broke off for OpenSSL's reason."""
        if self._observe is not None:
            alert: int | None = connection.get_app_data()
            outcome = outcome_of(reason) if alert is None else outcome_of_refusal(alert)
            self._observe(Handshake(outcome))

    def abandoned(self, outcome: Literal["timeout", "closed"]) -> None:
        """Tell the observer of a handshake that ended without a word."""
        if self._observe is not None:
            self._observe(Handshake(outcome))

    def _choose(self, connection: SSL.Connection, name: bytes | None) -> int:
        """Hand the connection to the context of its SNI, or return an alert."""
        context = self._context_for(name)
        if context is None:
            refusal = UNRECOGNIZED_NAME if name else MISSING_EXTENSION
            connection.set_app_data(refusal)  # OpenSSL's reason does not tell
            return refusal
        connection.set_context(context)
        return 0

    def _context_for(self, name: bytes | None) -> SSL.Context | None:
        chosen = self._chosen
        context, is_withheld = chosen.context_for(name)
        if context is None and not is_withheld:
            is_rejected = self._rejects_unknown if name else self._rejects_nameless
            context = None if is_rejected else chosen.default
        return context

    def _contexts(
        self, identities: Sequence[Identity], earlier: "_Choice | None" = None
    ) -> list[SSL.Context]:
        kept = {} if earlier is None else {_identity(each): each for each in earlier.contexts}
        return [
            kept.get(identity) or _made(identity, self._parameters, self._clock)
            for identity in identities
        ]


class _Choice:
    """Contexts by name: an immutable table that is swapped whole."""

    def __init__(self, contexts: Sequence[SSL.Context], withheld: Sequence[str]) -> None:
        if not contexts and not withheld:
            raise CertificateError("at least one identity is needed")
        self.contexts = tuple(contexts)
        self.identities = tuple(map(_identity, contexts))
        self._table: dict[str, SSL.Context | None] = dict.fromkeys(withheld)
        self.default = next((each for each in contexts if not self._is_withheld(each)), None)
        for context in contexts:
            for name in _identity(context).names:
                self._table.setdefault(name, context)

    def context_for(self, name: bytes | None) -> tuple[SSL.Context | None, bool]:
        """Find exact names first, then a wildcard for one label; tell whether it is withheld."""
        if not name:
            return None, False
        host = name.decode("latin-1").lower().removesuffix(".")
        table = self._table
        if host not in table:
            _, dot, parent = host.partition(".")
            host = f"*.{parent}" if dot else ""
        found = table.get(host)
        return found, found is None and host in table

    def _is_withheld(self, context: SSL.Context) -> bool:
        return any(name in self._table for name in _identity(context).names)


def _made(identity: Identity, parameters: TlsParameters, clock: Clock) -> SSL.Context:
    """Return the context that connections of an identity are handed over to.

    It owns what its callbacks need, and nothing of that leads back to it: a context that was
    replaced goes with its last connection, and need not be found by the collector.
    """
    context = hardened_context(parameters)
    try:
        use_credentials(context, identity.credentials)
    except CertificateError as error:
        raise CertificateError(f"identity {identity.name!r}: {error}") from error
    selection = _Selection(identity, clock)
    hooks = (
        on_protocols(context, parameters.protocols),
        on_status_request(context, selection.staple),
    )
    context.set_app_data((selection, hooks))
    return context


def _selection(context: SSL.Context) -> "_Selection | None":
    data = context.get_app_data()
    return None if data is None else data[0]


def _identity(context: SSL.Context) -> Identity:
    identity: Identity = context.get_app_data()[0].identity
    return identity


class _Selection:
    """Which credential of an identity a handshake has chosen."""

    def __init__(self, identity: Identity, clock: Clock) -> None:
        self.identity = identity
        self._clock = clock
        self._by_address: dict[int, Credential] = {}

    def credential_of(self, connection: SSL.Connection) -> Credential:
        """Return the credential that the handshake chose.

        Certificates stay where they are as long as the context lives, so that their addresses tell
        them apart: to compare what they hold would cost more than the rest of a callback.
        """
        credentials = self.identity.credentials
        if len(credentials) == 1:
            return credentials[0]
        address = certificate_address(connection)
        found = self._by_address.get(address)
        if found is None:
            leaf = connection.get_certificate(as_cryptography=True)
            found = next(each for each in credentials if each.leaf == leaf)
            self._by_address[address] = found
        return found

    def staple(self, connection: SSL.Connection) -> bytes | None:
        """Return what to staple now, None for nothing."""
        staple = self.credential_of(connection).staple
        return staple.der if staple is not None and staple.is_usable(self._clock.now()) else None
