import pytest

from edgeproxy.cache.partial import PIECES_MAX, Partial, begin, combine, complete, offered
from edgeproxy.cache.policy import TRANSPARENT, CachePolicy
from edgeproxy.cache.stored import with_date
from edgeproxy.http.messages import first
from edgeproxy.http.ranges import ByteRange
from tests.support.caching import NOW, date, get, lines

WHOLE = b"0123456789"
STRONG = {"etag": '"1"', "cache_control": "max-age=60"}


def offer(status=206, *, ask=None, length=None, policy=TRANSPARENT, **fields):
    stated = {"content_range": "bytes 2-4/10", **STRONG, **fields}
    received = with_date(lines(**{k: v for k, v in stated.items() if v is not None}), NOW)
    return offered(
        ask or get(),
        status,
        received,
        content_length=length,
        response_time=NOW,
        policy=policy,
    )


def part(first_, last, *, whole=WHOLE, at=NOW, ask=None, **fields):
    stated = {**STRONG, **fields}
    stated = {k: v for k, v in stated.items() if v is not None}
    received = with_date(lines(content_range=f"bytes {first_}-{last}/{len(whole)}", **stated), at)
    request = ask or get()
    offer_ = offered(
        request,
        206,
        received,
        content_length=None,
        response_time=at,
        policy=TRANSPARENT,
    )
    assert offer_ is not None
    return begin(
        b"key",
        offer_,
        received,
        whole[first_ : last + 1],
        request_fields=request.fields,
        request_time=at,
        response_time=at,
        fill_generation=7,
    )


def joined(*parts):
    result = parts[0]
    for each in parts[1:]:
        result = combine(result, each, policy=TRANSPARENT)
    return result


def test_one_part_of_a_known_whole_is_offered():
    found = offer(length=3)
    assert (found.span, found.length, found.freshness.lifetime) == (ByteRange(2, 4), 10, 60)
    assert offer(etag=None, last_modified=date(-1)) is not None


@pytest.mark.parametrize(
    "refused",
    [
        {"status": 200},
        {"length": 4},
        {"content_range": None},
        {"content_range": ["bytes 2-4/10", "bytes 2-4/10"]},
        {"content_range": "bytes 2-4/*"},
        {"content_range": "bytes */10"},
        {"content_range": "bytes 4-2/10"},
        {"content_range": "bytes 2-10/10"},
        {"content_range": "lines 2-4/10"},
        {"content_range": None, "content_type": "multipart/byteranges; boundary=x"},
        # no strong validator
        {"etag": None},
        {"etag": 'W/"1"'},
        {"etag": "1"},
        {"etag": 'W/"1"', "last_modified": date(-1000)},
        {"etag": None, "last_modified": date(0)},
        {"etag": None, "last_modified": "once"},
        # what may not be stored, or not be reused unasked
        {"cache_control": "max-age=60, no-store"},
        {"cache_control": "max-age=60, private"},
        {"cache_control": "max-age=60, no-cache"},
        {"cache_control": "max-age=0"},
        {"cache_control": None},
        {"vary": "*"},
        {"set_cookie": "a=b"},
        {"ask": get(authorization="Basic eA==")},
        {"ask": get(cache_control="no-store")},
        {"policy": CachePolicy(may_store=False)},
    ],
)
def test_what_is_not_offered(refused):
    assert offer(**refused) is None


def test_a_part_knows_the_fields_of_the_whole_and_none_of_its_own():
    one = part(2, 4, content_length="3", content_digest="x", content_md5="y", x="z")
    names = {name for name, _ in one.response.fields}
    assert names == {b"etag", b"cache-control", b"date", b"x"}
    assert (one.response.status, one.response.body, one.response.fill_generation) == (200, b"", 7)
    assert one.length == 10
    assert not one.is_complete


@pytest.mark.parametrize(
    ("first_", "last", "found"),
    [
        (2, 4, b"234"),
        (3, 3, b"3"),
        (2, 5, None),
        (1, 2, None),
        (0, 0, None),
        (5, 9, None),
        (7, 9, b"789"),
        (4, 7, None),
    ],
)
def test_only_what_is_there_is_cut(first_, last, found):
    assert joined(part(2, 4), part(7, 9)).cut(ByteRange(first_, last)) == found


@pytest.mark.parametrize("last", [5, 9])
def test_what_lies_behind_the_last_part_is_not_there(last):
    assert joined(part(0, 1), part(3, 4)).cut(ByteRange(4, last)) is None
    assert joined(part(0, 1), part(3, 4)).cut(ByteRange(5, last)) is None


def test_parts_lie_side_by_side_or_over_each_other():
    both = joined(part(2, 4), part(5, 6))
    assert both.cut(ByteRange(3, 6)) == b"3456"
    # The first octets that came stay: under a strong validator they are the same.
    over = joined(part(3, 4), part(7, 7), part(1, 8))
    assert over.pieces == ((1, b"12"), (3, b"34"), (5, b"56"), (7, b"7"), (8, b"8"))
    assert joined(over, part(2, 3)).pieces == over.pieces
    assert joined(part(0, 1), part(8, 9)).pieces == ((0, b"01"), (8, b"89"))
    assert joined(part(8, 9), part(0, 1)).pieces == ((0, b"01"), (8, b"89"))


def test_all_of_them_are_the_whole():
    almost = joined(part(0, 3), part(5, 9))
    assert complete(almost) is None
    whole = complete(joined(almost, part(4, 4)))
    assert (whole.body, whole.status, whole.etag) == (WHOLE, 200, b'"1"')
    assert whole.weight > len(WHOLE)
    assert joined(almost, part(4, 4)).is_complete


@pytest.mark.parametrize(
    "other",
    [
        {"etag": '"2"'},
        {"etag": None, "last_modified": date(-1000)},
        {"content_encoding": "br"},
        {"vary": "x"},
        {"whole": WHOLE * 2},
    ],
)
def test_parts_of_something_else_are_never_combined(other):
    assert combine(part(0, 3), part(4, 9, **other), policy=TRANSPARENT) is None


def test_dates_combine_where_there_is_no_tag():
    dated = {"etag": None, "last_modified": date(-1000)}
    assert joined(part(0, 3, **dated), part(4, 9, **dated)).is_complete
    assert combine(part(0, 3, **dated), part(4, 9), policy=TRANSPARENT) is None
    assert (
        combine(
            part(0, 3, **dated),
            part(4, 9, **{**dated, "last_modified": date(-999)}),
            policy=TRANSPARENT,
        )
        is None
    )


def test_the_fields_of_the_more_recent_one_replace_the_others():
    old, new = part(0, 3, x="old", y="old"), part(4, 5, at=NOW + 30, x="new")
    for both in (joined(old, new), joined(new, old)):
        assert first(both.response.fields, b"x") == b"new"
        assert both.response.fresh_until == NOW + 90
        assert both.pieces == ((0, b"0123"), (4, b"45"))
    assert first(joined(old, new).response.fields, b"y") == b"old"


def test_scattered_parts_are_bounded_and_contiguous_ones_are_joined():
    large = bytes(range(250)) * 2
    apart = joined(*(part(at, at, whole=large) for at in range(0, 4 * PIECES_MAX, 2)))
    assert len(apart.pieces) == PIECES_MAX
    row = joined(*(part(at, at, whole=large) for at in range(PIECES_MAX + 1)))
    assert row.pieces == ((0, large[: PIECES_MAX + 1]),)
    assert row.cut(ByteRange(0, PIECES_MAX)) == large[: PIECES_MAX + 1]


def test_the_weight_counts_octets_and_fields():
    one = part(0, 1)
    assert one.weight > one.response.weight + 2
    assert isinstance(one, Partial)
