"""Tests for edgeproxy/origin/faults.py."""

import errno
import socket
import ssl

import aiohttp
import pytest
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http_exceptions import BadHttpMessage, LineTooLong
from yarl import URL

from edgeproxy.errors import UpstreamError
from edgeproxy.http.proxy_status import STATUS_OF
from edgeproxy.origin.exchange import Phase
from edgeproxy.origin.faults import connect_fault, content_fault, fault, response_fault

KEY = ConnectionKey("a", 1, False, True, None, None, None)


def response_error(cause, message="bad"):
    info = aiohttp.RequestInfo(URL("http://a/"), "GET", None, URL("http://a/"))
    error = aiohttp.ClientResponseError(info, (), status=400, message=message)
    error.__cause__ = cause
    return error


def test_a_fault_has_the_recommended_status():
    error = fault("dns_timeout", "slow")
    assert (error.word, error.status, error.detail, error.is_retryable) == (
        "dns_timeout",
        504,
        "slow",
        False,
    )


def test_every_phase_that_can_time_out_is_a_word():
    assert {phase.value for phase in Phase} <= set(STATUS_OF)


@pytest.mark.parametrize(
    ("code", "word", "is_retryable"),
    [
        (errno.ECONNREFUSED, "connection_refused", True),
        (errno.ETIMEDOUT, "connection_timeout", False),
        (errno.EHOSTUNREACH, "destination_ip_unroutable", True),
        (errno.ENETUNREACH, "destination_ip_unroutable", True),
        (errno.ECONNRESET, "connection_terminated", True),
    ],
)
def test_failures_to_connect(code, word, is_retryable):
    error = connect_fault(aiohttp.ClientConnectorError(KEY, OSError(code, "no")))
    assert (error.word, error.is_retryable) == (word, is_retryable)


def test_a_name_that_does_not_resolve():
    cause = socket.gaierror(socket.EAI_NONAME, "unknown")
    error = connect_fault(aiohttp.ClientConnectorDNSError(KEY, cause))
    assert (error.word, error.is_retryable) == ("dns_error", False)


def test_an_error_without_number_is_a_terminated_connection():
    assert connect_fault(aiohttp.ClientConnectionError("x")).word == "connection_terminated"


def test_certificates_are_explained_by_openssl():
    cause = ssl.SSLCertVerificationError(1, "no")
    cause.verify_message = "certificate has expired"
    error = connect_fault(aiohttp.ClientConnectorCertificateError(KEY, cause))
    assert (error.word, error.detail) == ("tls_certificate_error", "certificate has expired")
    bare = connect_fault(aiohttp.ClientConnectorCertificateError(KEY, ValueError("x")))
    assert bare.detail == "not verified"


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("WRONG_VERSION_NUMBER", "tls_protocol_error"),
        ("TLSV1_ALERT_PROTOCOL_VERSION", "tls_alert_received"),
        (None, "tls_protocol_error"),
    ],
)
def test_tls_failures_tell_alerts_from_nonsense(reason, word):
    cause = ssl.SSLError(1, "x")
    cause.reason = reason
    error = aiohttp.ClientConnectorSSLError(KEY, cause)
    error.__cause__ = cause
    assert connect_fault(error).word == word
    late = aiohttp.ClientOSError(1, "x")
    late.__cause__ = cause
    assert response_fault(late, is_started=False).word == word


def test_a_connection_that_ends_before_any_octet_may_be_tried_again():
    before = response_fault(aiohttp.ServerDisconnectedError(), is_started=False)
    assert (before.word, before.is_retryable) == ("connection_terminated", True)
    within = response_fault(aiohttp.ServerDisconnectedError(), is_started=True)
    assert (within.word, within.is_retryable) == ("http_response_incomplete", False)


def test_the_parser_tells_size_from_syntax():
    middle = BadHttpMessage("x")
    middle.__cause__ = LineTooLong(b"x", 1)
    assert response_fault(response_error(middle), is_started=True).word == (
        "http_response_header_size"
    )
    many = response_error(BadHttpMessage("x"), "Too many headers received")
    assert response_fault(many, is_started=True).word == "http_response_header_section_size"
    syntax = response_fault(response_error(BadHttpMessage("x")), is_started=True)
    assert syntax.word == "http_protocol_error"


def test_content_that_breaks_off_is_incomplete_unless_we_know_better():
    known = UpstreamError("connection_read_timeout", 504)
    assert content_fault(known) is known
    assert content_fault(aiohttp.ClientPayloadError("x")).word == "http_response_incomplete"
