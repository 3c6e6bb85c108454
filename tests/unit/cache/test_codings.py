from dataclasses import replace

import pytest

from edgeproxy.cache.codings import (
    Offer,
    body_in,
    etag_in,
    fields_in,
    forbids_transformation,
    offer_of,
    refused_codings,
    with_derived,
)
from edgeproxy.cache.stored import DerivedBody, LargeBody
from tests.support.caching import keep, lines

ALL = (b"br", b"zstd", b"gzip")
TEXT = lines(content_type="text/javascript; charset=utf-8")
BR_TEXT = [*TEXT, (b"content-encoding", b"br")]


@pytest.mark.parametrize(
    ("status", "fields", "length", "refused", "expected"),
    [
        (200, TEXT, 512, (), (*ALL, b"identity")),
        (200, TEXT, None, (), (*ALL, b"identity")),
        (200, TEXT, 511, (), (b"identity",)),
        (200, TEXT, 5000, (b"br", b"gzip"), (b"zstd", b"identity")),
        (404, TEXT, 5000, (), (b"identity",)),
        (200, lines(content_type="image/png"), 5000, (), (b"identity",)),
        (200, [], 5000, (), (b"identity",)),
        (200, BR_TEXT, 5000, (), (b"br", b"zstd", b"gzip", b"identity")),
        (200, lines(content_type="text/css", content_encoding="gzip"), 5000, (), (
            b"gzip", b"br", b"zstd", b"identity")),
        (200, BR_TEXT, 5000, (b"br", b"identity"), (b"br", b"zstd", b"gzip")),
        (404, BR_TEXT, 5000, (), (b"br", b"identity")),
        (200, lines(content_type="image/png", content_encoding="br"), 5000, (), (
            b"br", b"identity")),
        (200, [*TEXT, (b"cache-control", b"no-transform")], 5000, (), (b"identity",)),
        (200, [*BR_TEXT, (b"cdn-cache-control", b"no-transform, max-age=9")], 5000, (), (b"br",)),
    ],
)  # fmt: skip
def test_what_can_be_had(status, fields, length, refused, expected) -> None:
    offer = offer_of(status, fields, codings=ALL, length=length, refused=refused)
    assert offer.codings == expected
    assert offer.is_negotiable is (expected != (b"identity",))
    assert offer.may_derive is (b"identity" in expected)


def test_a_rule_without_codings_offers_what_came() -> None:
    assert offer_of(200, BR_TEXT, codings=(), length=9999) == Offer(b"br", (b"br",))


@pytest.mark.parametrize(
    ("own", "codings", "accepted", "expected"),
    [
        (b"identity", (b"identity",), b"br, identity;q=0", b"identity"),
        (b"identity", (*ALL, b"identity"), b"gzip, deflate, br, zstd", b"br"),
        (b"identity", (*ALL, b"identity"), None, b"identity"),
        (b"identity", (*ALL, b"identity"), b"*;q=0", None),
        (b"gzip", (b"gzip", b"br", b"identity"), b"br, gzip", b"gzip"),
        (b"br", (b"br",), b"br", b"br"),
        (b"br", (b"br",), b"gzip", None),
        (b"br", (b"br",), None, None),
    ],
)
def test_what_a_client_gets_of_it(own, codings, accepted, expected) -> None:
    assert Offer(own, codings).choose(accepted) == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ([], False),
        (lines(cache_control="max-age=1, no-transform"), True),
        (lines(cdn_cache_control="max-age=1", cache_control="no-transform"), True),
        (lines(cdn_cache_control="no-transform"), True),
        (lines(cache_control="no-transformation"), False),
    ],
)
def test_no_transform_holds_wherever_it_is_said(fields, expected) -> None:
    assert forbids_transformation(fields) is expected


FIELDS = lines(
    content_type="text/css",
    etag='"abc"',
    content_digest="sha-256=:AA==:",
    repr_digest="sha-256=:AA==:",
    digest="x",
    content_md5="x",
    last_modified="then",
)


def test_its_own_coding_has_the_fields_as_they_are() -> None:
    assert fields_in(b"br", FIELDS, own=b"br") == tuple(FIELDS)


def test_another_coding_says_so_and_speaks_of_no_other_bytes() -> None:
    expected = lines(content_type="text/css", last_modified="then")
    coded = fields_in(b"br", FIELDS, own=b"identity")
    assert coded == (*expected, (b"content-encoding", b"br"), (b"etag", b'"abc-br"'))
    provisional = fields_in(b"br", FIELDS, own=b"identity", is_final=False)
    assert provisional[-1] == (b"etag", b'W/"abc-br"')
    decoded = fields_in(b"identity", [*FIELDS, (b"content-encoding", b"br")], own=b"br")
    assert decoded == (*expected, (b"etag", b'"abc-identity"'))
    assert fields_in(b"gzip", [], own=b"identity") == ((b"content-encoding", b"gzip"),)


@pytest.mark.parametrize(
    ("etag", "is_final", "expected"),
    [
        (b'"a"', True, b'"a-gzip"'),
        (b'W/"a"', True, b'W/"a-gzip"'),
        (b'W/"a"', False, b'W/"a-gzip"'),
        (b'""', True, b'"-gzip"'),
    ],
)
def test_tags_of_derived_codings(etag, is_final, expected) -> None:
    assert etag_in(b"gzip", etag, is_final=is_final) == expected


def test_the_body_in_every_coding_that_it_is_there_in() -> None:
    kept = keep(body=b"coded", content_encoding="br", etag='"1"')
    assert kept.coding == b"br"
    assert body_in(b"br", kept) == DerivedBody(b"coded", is_final=True)
    assert body_in(b"identity", kept) is None
    kept.memo = object()
    more = with_derived(kept, b"identity", made := DerivedBody(b"decoded", is_final=True))
    assert body_in(b"identity", more) is made
    assert (more.memo, more.body_id) == (None, kept.body_id)
    assert more.weight == kept.weight + len(b"decoded")
    assert kept.derived == {}
    none = with_derived(more, b"gzip", None)
    assert refused_codings(none.derived) == {b"gzip"}
    assert none.weight == more.weight


def test_a_body_that_only_the_disk_holds_is_at_hand_in_no_coding() -> None:
    kept = keep(body=b"coded", content_encoding="br")
    large = replace(kept, body=LargeBody(5))
    assert body_in(b"br", large) is None
    assert body_in(b"identity", large) is None
