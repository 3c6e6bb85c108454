"""What OpenSSL can do and pyOpenSSL's public methods cannot, or not quietly.

pyOpenSSL's own SNI callback can only refuse by raising, which prints a traceback per handshake, and
its ALPN and OCSP callbacks keep such exceptions for a later connection. These are the same three C
callbacks, answering by value, and the few settings that have no public method. Together with
`engine.py` this is all that reaches into `_lib`; pyOpenSSL is pinned, and
`tests/unit/tls/test_hooks.py` fails when it moves.

Invariant: no hook ever raises into C; what goes wrong refuses the handshake.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from OpenSSL import SSL

from edgeproxy.errors import CertificateError

_lib: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001 - see the module's docstring
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001

_OK: Final[int] = _lib.SSL_TLSEXT_ERR_OK
_REFUSE: Final[int] = _lib.SSL_TLSEXT_ERR_ALERT_FATAL
_NOTHING: Final[int] = _lib.SSL_TLSEXT_ERR_NOACK

_ALPN_CALLBACK: Final = (
    "int (*)(SSL *, unsigned char **, unsigned char *, const unsigned char *, unsigned int, void *)"
)

INTERNAL_ERROR: Final = 80
MISSING_EXTENSION: Final = 109
UNRECOGNIZED_NAME: Final = 112
"""Alerts that a chooser may answer with (RFC 8446 section 6.2)."""


def set_groups(context: SSL.Context, groups: Sequence[str]) -> None:
    """Offer these key exchange groups, most wanted first.

    Raises:
        CertificateError: this OpenSSL does not know one of them.
    """
    raw: Any = context
    if _lib.SSL_CTX_set1_curves_list(raw._context, ":".join(groups).encode("ascii")) != 1:  # noqa: SLF001 - see above
        _lib.ERR_clear_error()
        raise CertificateError(f"unknown key exchange group among {', '.join(groups)}")


def set_signature_algorithms(context: SSL.Context, algorithms: Sequence[str]) -> None:
    """Accept, or make, these signatures only, by OpenSSL's names.

    Raises:
        CertificateError: this OpenSSL does not know one of them.
    """
    raw: Any = context
    if _lib.SSL_CTX_set1_sigalgs_list(raw._context, ":".join(algorithms).encode("ascii")) != 1:  # noqa: SLF001 - see above
        _lib.ERR_clear_error()
        raise CertificateError(f"unknown signature algorithm among {', '.join(algorithms)}")


def set_session_id_context(context: SSL.Context, value: bytes) -> None:
    """Resume no session that was made under another value, from the next connection on.

    pyOpenSSL's `set_session_id` does the same and refuses it for a context in use, for which it is
    sound: every connection copies the value when it is made.
    """
    raw: Any = context
    _lib.SSL_CTX_set_session_id_context(raw._context, value, len(value))  # noqa: SLF001 - see above


def set_ticket_lifetime(context: SSL.Context, seconds: int) -> None:
    """Seal tickets for so long, from the next handshake on; pyOpenSSL's own is refused in use."""
    raw: Any = context
    _lib.SSL_CTX_set_timeout(raw._context, seconds)  # noqa: SLF001 - see above


def certificate_address(connection: SSL.Connection) -> int:
    """Return where the certificate lies that the connection has chosen, for comparing only."""
    raw: Any = connection
    return int(_ffi.cast("uintptr_t", _lib.SSL_get_certificate(raw._ssl)))  # noqa: SLF001 - see above


def is_resumed(connection: SSL.Connection) -> bool:
    """Tell whether a connection that has shaken hands resumed a session."""
    raw: Any = connection
    return bool(_lib.SSL_session_reused(raw._ssl))  # noqa: SLF001 - see above


def on_server_name(
    context: SSL.Context, choose: Callable[[SSL.Connection, bytes | None], int]
) -> object:
    """Have `choose` called once per handshake with the SNI, None without one.

    It switches the connection's context and returns 0, or returns the alert to refuse with. The
    result must be kept alive as long as the context.
    """

    def callback(ssl: Any, alert: Any, _argument: Any) -> int:  # noqa: ANN401 - C pointers
        alert[0] = INTERNAL_ERROR
        connection = _connection(ssl)
        refusal = choose(connection, connection.get_servername())
        alert[0] = refusal
        return _REFUSE if refusal else _OK

    handle = _ffi.callback("int (*)(SSL *, int *, void *)", callback, error=_REFUSE)
    raw: Any = context
    _lib.SSL_CTX_set_tlsext_servername_callback(raw._context, handle)  # noqa: SLF001 - see above
    return handle


def on_protocols(context: SSL.Context, protocols: Sequence[bytes]) -> object:
    """Choose the first of ours that the client offers (RFC 7301 section 3.2).

    Without any in common the handshake ends with no_application_protocol; a client that does not
    use the extension never gets here. The result must be kept alive as long as the context.
    """
    ours = [(name, _ffi.new("unsigned char[]", name)) for name in protocols]

    def callback(_ssl: Any, out: Any, size: Any, offer: Any, *rest: Any) -> int:  # noqa: ANN401 - C pointers
        offered = _names(bytes(_ffi.buffer(offer, rest[0])))
        for name, pointer in ours:
            if name in offered:
                out[0], size[0] = pointer, len(name)
                return _OK
        return _REFUSE

    handle = _ffi.callback(_ALPN_CALLBACK, callback, error=_REFUSE)
    raw: Any = context
    _lib.SSL_CTX_set_alpn_select_cb(raw._context, handle, _ffi.NULL)  # noqa: SLF001 - see above
    return handle, ours


def on_status_request(
    context: SSL.Context, staple: Callable[[SSL.Connection], bytes | None]
) -> object:
    """Have `staple` called for a client that asks for one (RFC 8446 section 4.4.2.1).

    The certificate has been chosen by then; a resumed handshake has none and asks nobody. None
    hands out nothing. The result must be kept alive as long as the context.
    """

    def callback(ssl: Any, _argument: Any) -> int:  # noqa: ANN401 - C pointers
        der = staple(_connection(ssl))
        if not der:
            return _NOTHING
        size = len(der)
        copy = _lib.OPENSSL_malloc(size)  # OpenSSL frees it
        _ffi.memmove(copy, der, size)
        _lib.SSL_set_tlsext_status_ocsp_resp(ssl, copy, size)
        return _OK

    handle = _ffi.callback("int (*)(SSL *, void *)", callback, error=_NOTHING)
    raw: Any = context
    _lib.SSL_CTX_set_tlsext_status_cb(raw._context, handle)  # noqa: SLF001 - see above
    return handle


def _connection(ssl: Any) -> SSL.Connection:  # noqa: ANN401 - a C pointer
    mapping: Any = SSL.Connection
    connection: SSL.Connection = mapping._reverse_mapping[ssl]  # noqa: SLF001 - see the module's docstring
    return connection


def _names(offer: bytes) -> set[bytes]:
    """Return the members of a ProtocolNameList; OpenSSL has checked its lengths."""
    names, at = set(), 0
    while at < len(offer):
        end = at + 1 + offer[at]
        names.add(offer[at + 1 : end])
        at = end
    return names
