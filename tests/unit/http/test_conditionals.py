import pytest

from edgeproxy.http.conditionals import (
    Precondition,
    etag_strong_equal,
    etag_weak_equal,
    evaluate,
    if_range_holds,
    is_strong_etag,
)

PASS, NOT_MODIFIED, FAILED = (
    Precondition.PASS,
    Precondition.NOT_MODIFIED,
    Precondition.FAILED,
)
EARLIER = b"Sun, 06 Nov 1994 08:49:36 GMT"
MODIFIED = b"Sun, 06 Nov 1994 08:49:37 GMT"
LATER = b"Sun, 06 Nov 1994 08:49:38 GMT"


def ask(*fields, method=b"GET", etag=b'"a"', last_modified=MODIFIED, date=LATER):
    return evaluate(method, fields, etag=etag, last_modified=last_modified, date=date)


def test_comparison_of_entity_tags():
    # The table of RFC 9110 section 8.8.3.2.
    table = [
        (b'W/"1"', b'W/"1"', False, True),
        (b'W/"1"', b'W/"2"', False, False),
        (b'W/"1"', b'"1"', False, True),
        (b'"1"', b'"1"', True, True),
    ]
    for left, right, strong, weak in table:
        assert etag_strong_equal(left, right) is strong
        assert etag_weak_equal(left, right) is weak


def test_without_conditions_everything_passes():
    assert ask((b"accept", b"*/*")) is PASS
    assert ask() is PASS


@pytest.mark.parametrize(
    "value",
    [
        b'"a"',
        b'W/"a"',
        b'"x", "a"',
        b'"a" , "x"',
        b'"x","y" ,\t"a"',
        b"*",
        b', ,"a",',
        b'"x,y","a"',
    ],
)
def test_if_none_match_that_matches(value):
    assert ask((b"if-none-match", value)) is NOT_MODIFIED
    assert ask((b"if-none-match", value), method=b"HEAD") is NOT_MODIFIED
    assert ask((b"if-none-match", value), method=b"PUT") is FAILED


@pytest.mark.parametrize(
    "value", [b'"b"', b"a", b"", b'"a', b'x"a"', b'"x" x, "a"', b'w/"a"', b'"x", a', b'"\x00"']
)
def test_if_none_match_that_does_not_match(value):
    assert ask((b"if-none-match", value)) is PASS


def test_if_none_match_over_several_lines():
    assert ask((b"if-none-match", b'"x"'), (b"if-none-match", b'"a"')) is NOT_MODIFIED


def test_if_none_match_and_odd_tags_of_the_origin():
    assert ask((b"if-none-match", b"abc"), etag=b"abc") is NOT_MODIFIED
    assert ask((b"if-none-match", b'"a\xfc"'), etag=b'W/"a\xfc"') is NOT_MODIFIED
    assert ask((b"if-none-match", b'"a"'), etag=None) is PASS
    assert ask((b"if-none-match", b"*"), etag=None) is NOT_MODIFIED


def test_if_none_match_silences_if_modified_since():
    assert ask((b"if-none-match", b'"b"'), (b"if-modified-since", LATER)) is PASS
    assert ask((b"if-modified-since", EARLIER), (b"if-none-match", b'"a"')) is NOT_MODIFIED


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (MODIFIED, NOT_MODIFIED),
        (LATER, NOT_MODIFIED),
        (EARLIER, PASS),
        (b"Sunday, 06-Nov-94 08:49:37 GMT", NOT_MODIFIED),
        (b"nonsense", PASS),
        (b"0", PASS),
    ],
)
def test_if_modified_since(value, verdict):
    assert ask((b"if-modified-since", value)) is verdict


def test_if_modified_since_is_for_reading_and_for_one_date():
    assert ask((b"if-modified-since", LATER), method=b"POST") is PASS
    assert ask((b"if-modified-since", LATER), (b"if-modified-since", LATER)) is PASS


def test_if_modified_since_falls_back_to_date():
    assert ask((b"if-modified-since", LATER), last_modified=None) is NOT_MODIFIED
    assert ask((b"if-modified-since", EARLIER), last_modified=None) is PASS
    assert ask((b"if-modified-since", LATER), last_modified=None, date=None) is PASS
    assert ask((b"if-modified-since", LATER), last_modified=b"bad") is PASS


@pytest.mark.parametrize(
    ("year", "since", "verdict"),
    [
        (2026, b"75", NOT_MODIFIED),
        (2026, b"77", PASS),
        (1994, b"44", NOT_MODIFIED),
        (1994, b"45", PASS),
    ],
)
def test_two_digits_of_a_year_are_read_at_the_time_of_the_response(year, since, verdict):
    date = b"Sun, 06 Nov %d 08:49:38 GMT" % year
    modified = b"Sun, 06 Nov %d 08:49:37 GMT" % year
    condition = (b"if-modified-since", b"Sunday, 06-Nov-%s 08:49:37 GMT" % since)
    assert ask(condition, last_modified=modified, date=date) is verdict


def test_if_match_compares_strongly_and_comes_first():
    assert ask((b"if-match", b'"a"')) is PASS
    assert ask((b"if-match", b"*")) is PASS
    assert ask((b"if-match", b'"b"')) is FAILED
    assert ask((b"if-match", b'W/"a"')) is FAILED
    assert ask((b"if-match", b'"a"'), etag=None) is FAILED
    assert ask((b"if-match", b'"b"'), (b"if-none-match", b'"a"')) is FAILED
    assert ask((b"if-match", b'"a"'), (b"if-none-match", b'"a"')) is NOT_MODIFIED


def test_if_unmodified_since():
    assert ask((b"if-unmodified-since", MODIFIED)) is PASS
    assert ask((b"if-unmodified-since", EARLIER)) is FAILED
    assert ask((b"if-unmodified-since", b"bad")) is PASS
    assert ask((b"if-unmodified-since", EARLIER), last_modified=None) is PASS
    # If-Match, where present, is the better condition.
    assert ask((b"if-match", b'"a"'), (b"if-unmodified-since", EARLIER)) is PASS


def holds(*values, etag=b'"a"', last_modified=MODIFIED, date=LATER):
    fields = [(b"range", b"bytes=0-1"), *((b"if-range", value) for value in values)]
    return if_range_holds(fields, etag=etag, last_modified=last_modified, date=date)


def test_if_range():
    assert holds()
    assert holds(b'"a"')
    assert holds(MODIFIED)


@pytest.mark.parametrize("value", [b'"b"', b'W/"a"', b"a", EARLIER, LATER, b"bad", b""])
def test_if_range_that_does_not_hold(value):
    assert not holds(value)


def test_if_range_needs_strong_validators():
    assert not holds(b'W/"a"', etag=b'W/"a"')
    assert not holds(b'"a"', etag=None)
    assert not holds(MODIFIED, date=MODIFIED)
    assert not holds(MODIFIED, date=None)
    assert not holds(MODIFIED, date=b"bad")
    assert not holds(b"bad", last_modified=b"bad")
    assert not holds(b'"a"', b'"a"')


@pytest.mark.parametrize(
    ("etag", "is_strong"),
    [
        (b'"1"', True),
        (b'""', True),
        (b'W/"1"', False),
        (b"1", False),
        (b'"1', False),
        (b'"1", "2"', False),
        (b"", False),
    ],
)
def test_strong_tags(etag, is_strong):
    assert is_strong_etag(etag) is is_strong
