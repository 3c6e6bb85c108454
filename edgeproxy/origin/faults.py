"""Whose fault a failed exchange was, in the words of RFC 9209 section 2.3.

Turns what aiohttp, the TLS library and the operating system raise into `UpstreamError`. Decides
nothing about retrying beyond what the failure itself proves, and quotes no byte that the origin
sent: details end up in logs and response fields.
"""

import errno
import ssl
from typing import Final

import aiohttp
from aiohttp.http_exceptions import LineTooLong

from edgeproxy.errors import UpstreamError
from edgeproxy.http.proxy_status import STATUS_OF

_UNROUTABLE: Final = frozenset({errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EADDRNOTAVAIL})


def fault(word: str, detail: str = "", *, is_retryable: bool = False) -> UpstreamError:
    """Return the error of that word, with its recommended status."""
    return UpstreamError(word, STATUS_OF[word], detail, is_retryable=is_retryable)


def connect_fault(error: Exception) -> UpstreamError:
    """Explain why no connection came about.

    Retryable are only failures that another attempt may not meet: a name or a certificate will
    not be better a millisecond later, a refused connection may be a server that restarts.
    """
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return fault("dns_error", "the name does not resolve")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return fault("tls_certificate_error", _certificate_reason(error))
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return _tls_fault(error.__cause__)
    code = error.errno if isinstance(error, OSError) else None
    if code == errno.ECONNREFUSED:
        return fault("connection_refused", is_retryable=True)
    if code == errno.ETIMEDOUT:
        return fault("connection_timeout", "the network gave up")
    if code in _UNROUTABLE:
        return fault("destination_ip_unroutable", is_retryable=True)
    return fault("connection_terminated", "while connecting", is_retryable=True)


def response_fault(error: Exception, *, is_started: bool) -> UpstreamError:
    """Explain why a request that was sent got no usable field section.

    `is_started` tells that bytes of a response had arrived. A connection that died before any is
    a retryable one: whether it was idle too long is for the caller to say.
    """
    if isinstance(error, aiohttp.ClientResponseError):
        return _parser_fault(error)
    if isinstance(error.__cause__, ssl.SSLError):
        return _tls_fault(error.__cause__)
    if is_started:
        return fault("http_response_incomplete", "the connection ended among the fields")
    return fault("connection_terminated", "before any response", is_retryable=True)


def content_fault(error: Exception) -> UpstreamError:
    """Explain why the content of a response cannot be completed."""
    if isinstance(error, UpstreamError):
        return error
    return fault("http_response_incomplete", type(error).__name__)


def _parser_fault(error: aiohttp.ClientResponseError) -> UpstreamError:
    """Tell fields that are too large from messages that are not HTTP."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, LineTooLong):
            return fault("http_response_header_size", "a field line is too long")
        cause = cause.__cause__
    if "Too many headers" in error.message:
        return fault("http_response_header_section_size", "too many field lines")
    return fault("http_protocol_error", "not a valid HTTP/1.1 message")


def _tls_fault(error: BaseException | None) -> UpstreamError:
    reason = getattr(error, "reason", None) or "handshake failed"
    word = "tls_alert_received" if "ALERT" in reason else "tls_protocol_error"
    return fault(word, reason.replace("_", " ").lower())


def _certificate_reason(error: aiohttp.ClientConnectorCertificateError) -> str:
    """Return OpenSSL's sentence: expired, self-signed, name mismatch."""
    return getattr(error.certificate_error, "verify_message", "") or "not verified"
