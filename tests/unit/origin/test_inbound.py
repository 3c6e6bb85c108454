"""Tests for edgeproxy/origin/inbound.py."""

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.inbound import interim_fields, response_head
from edgeproxy.origin.settings import OriginSettings

SETTINGS = OriginSettings(name="a", url="http://a")


def head(status=200, lines=(), *, version=(1, 1), is_head=False, settings=SETTINGS):
    return response_head(status, version, list(lines), is_head=is_head, settings=settings)


def refused(*args, **kwargs):
    with pytest.raises(UpstreamError) as caught:
        head(*args, **kwargs)
    assert caught.value.status == 502
    return caught.value.word


def test_names_are_lowered_values_stripped_and_order_kept():
    made = head(lines=[(b"B", b" 1\t"), (b"A", b"\xe9"), (b"b", b"2")])
    assert made.fields == [(b"b", b"1"), (b"a", b"\xe9"), (b"b", b"2")]


def test_only_end_to_end_fields_remain():
    made = head(
        lines=[
            (b"Connection", b"close, X-Mine"),
            (b"X-Mine", b"1"),
            (b"Transfer-Encoding", b"Chunked"),
            (b"Content-Type", b"text/css"),
        ]
    )
    assert made.fields == [(b"content-type", b"text/css")]
    assert made.is_delimited


def test_framing_is_judged_before_connection_can_hide_it():
    lines = [(b"connection", b"content-length"), (b"content-length", b"5")]
    made = head(lines=lines)
    assert (made.content_length, made.is_delimited, made.fields) == (5, True, [])


@pytest.mark.parametrize(
    ("status", "lines", "is_head", "length", "is_delimited"),
    [
        (200, [(b"content-length", b"5")], False, 5, True),
        (200, [(b"content-length", b"5")], True, 5, True),
        (200, [], False, None, False),
        (200, [], True, None, True),
        (304, [(b"content-length", b"5")], False, 5, True),
        (304, [], False, None, True),
        (204, [], False, None, True),
    ],
)
def test_where_the_content_ends(status, lines, is_head, length, is_delimited):
    made = head(status, lines, is_head=is_head)
    assert (made.content_length, made.is_delimited) == (length, is_delimited)


def test_a_204_has_no_length():
    made = head(204, [(b"content-length", b"0"), (b"etag", b'"a"')])
    assert (made.content_length, made.fields) == (None, [(b"etag", b'"a"')])


@pytest.mark.parametrize("status", [0, 99, 100, 101, 199, 600, 999])
def test_status_codes_that_are_no_final_response(status):
    assert refused(status) == "http_protocol_error"


@pytest.mark.parametrize("version", [(0, 0), (0, 9), (2, 0), (1, 2)])
def test_other_versions_are_not_spoken(version):
    assert refused(version=version) == "http_protocol_error"


@pytest.mark.parametrize(
    "line", [(b"a", b"b\x07"), (b"a", b"b\x00"), (b"a", b"b\rc"), (b"a b", b"c"), (b"", b"c")]
)
def test_octets_that_split_responses(line):
    assert refused(lines=[line]) == "http_protocol_error"


@pytest.mark.parametrize(
    "values", [[b"+5"], [b"5 5"], [b"5", b"6"], [b"5, 6"], [b""], [b"-1"], [b"0x5"], [b"9" * 30]]
)
def test_lengths_that_two_parsers_read_differently(values):
    assert refused(lines=[(b"content-length", value) for value in values]) == "http_protocol_error"


def test_two_framings_at_once():
    lines = [(b"transfer-encoding", b"chunked"), (b"content-length", b"5")]
    assert refused(lines=lines) == "http_protocol_error"


@pytest.mark.parametrize("values", [[b"gzip"], [b"gzip, chunked"], [b"chunked", b"chunked"], [b""]])
def test_other_transfer_codings(values):
    lines = [(b"transfer-encoding", value) for value in values]
    assert refused(lines=lines) == "http_response_transfer_coding"


def test_chunked_in_http_1_0_is_two_framings():
    lines = [(b"transfer-encoding", b"chunked")]
    assert refused(lines=lines, version=(1, 0)) == "http_response_transfer_coding"


def test_field_sections_are_bounded_in_every_direction():
    small = OriginSettings(
        name="a",
        url="http://a",
        response_fields_max=2,
        response_field_bytes_max=10,
        response_section_bytes_max=15,
    )
    assert refused(lines=[(b"a", b"b")] * 3, settings=small) == "http_response_header_section_size"
    assert refused(lines=[(b"a", b"12345678")] * 2, settings=small) == (
        "http_response_header_section_size"
    )
    assert refused(lines=[(b"a", b"1234567890")], settings=small) == "http_response_header_size"


def interim(*lines, version=(1, 1)):
    return interim_fields(version, list(lines), settings=SETTINGS)


def test_of_an_interim_head_only_end_to_end_fields_remain():
    lines = [
        (b"Link", b" </a>\t"),
        (b"Connection", b"x-mine"),
        (b"X-Mine", b"1"),
        (b"Keep-Alive", b"1"),
        (b"link", b"</b>"),
        (b"Content-Length", b"0"),
    ]
    assert interim(*lines) == [(b"link", b"</a>"), (b"link", b"</b>")]


@pytest.mark.parametrize(
    "line",
    [
        (b"content-length", b"5"),
        (b"content-length", b"x"),
        (b"transfer-encoding", b"chunked"),
        (b"a", b"b\x00"),
        (b"a b", b""),
    ],
)
def test_an_interim_head_that_cannot_be_trusted(line):
    with pytest.raises(UpstreamError) as caught:
        interim(line)
    assert caught.value.word == "http_protocol_error"


def test_an_interim_head_is_bounded_and_of_http_1_1():
    with pytest.raises(UpstreamError) as caught:
        interim(*[(b"a", b"b")] * 129)
    assert caught.value.word == "http_response_header_section_size"
    with pytest.raises(UpstreamError):
        interim(version=(1, 0))
