import pytest

from edgeproxy.http.fields import (
    DELTA_SECONDS_MAX,
    is_field_value,
    is_token,
    list_members,
    parse_content_length,
    parse_delta_seconds,
    parse_digits,
)


@pytest.mark.parametrize("value", [b"GET", b"cache-control", b"M-SEARCH", b"!#$%&'*+-.^_`|~0aZ"])
def test_tokens(value):
    assert is_token(value)


@pytest.mark.parametrize(
    "value", [b"", b" ", b"a b", b"a:", b"a\x00", b"a\n", b"\xe2\x84\xaa", b"(x)", b'"x"', b"a,b"]
)
def test_what_is_no_token(value):
    assert not is_token(value)


@pytest.mark.parametrize("value", [b"", b"a", b"a b\tc", b"\xff", b'"q,\\""', b"!"])
def test_field_values(value):
    assert is_field_value(value)


@pytest.mark.parametrize(
    "value", [b" a", b"a ", b"\ta", b"a\t", b"a\r\nb", b"a\x00", b"\x07", b"a\x7f", b"a\x0bb"]
)
def test_control_bytes_and_edge_blanks_are_no_field_value(value):
    assert not is_field_value(value)


@pytest.mark.parametrize(
    ("values", "members"),
    [
        ([], []),
        ([b""], []),
        ([b" , ,"], []),
        ([b"a,b", b" c\t"], [b"a", b"b", b"c"]),
        ([b'a="x,y", b'], [b'a="x,y"', b"b"]),
        ([b'"a\\",b", c'], [b'"a\\",b"', b"c"]),
        # Only SP and HTAB are blanks: Python would strip these too.
        ([b"a\x0b,\x0cb"], [b"a\x0b", b"\x0cb"]),
    ],
)
def test_list_members(values, members):
    assert list(list_members(values)) == members


def test_a_broken_quote_hides_no_member():
    assert list(list_members([b'a="x, no-store'])) == [b'a="x', b"no-store"]
    assert list(list_members([b'"a", b="x\\", private'])) == [b'"a"', b'b="x\\"', b"private"]
    assert list(list_members([b'a="x\\'])) == [b'a="x\\']


def test_quotes_and_backslashes_in_bulk_cost_linear_time():
    # Quadratic splitting of this would take minutes.
    value = b'"\\' * 500_000
    assert len(list(list_members([value]))) == 1


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"0", 0),
        (b"60", 60),
        (b"003600", 3600),
        (b"2147483648", 2**31),
        (b"99999999999", DELTA_SECONDS_MAX),
        (b"9" * 10_000, DELTA_SECONDS_MAX),
        (b"0" * 10_000, 0),
    ],
)
def test_delta_seconds(value, seconds):
    assert parse_delta_seconds(value) == seconds


@pytest.mark.parametrize(
    "value", [b"", b"-1", b"+1", b" 1", b"1 ", b"1_0", b"1.0", b"a", b"\xb2", "٣".encode(), b"1\n"]
)
def test_what_is_no_delta_seconds(value):
    assert parse_delta_seconds(value) is None


def test_digits_stop_at_the_maximum():
    assert parse_digits(b"11", maximum=10) == 10
    assert parse_digits(b"100", maximum=10) == 10
    assert parse_digits(b"9", maximum=10) == 9


@pytest.mark.parametrize(
    ("values", "length"),
    [([], None), ([b"0"], 0), ([b"42"], 42), ([b"42", b"42"], 42), ([b"42, 42"], 42)],
)
def test_content_length(values, length):
    assert parse_content_length(values) == length


@pytest.mark.parametrize(
    "values",
    [
        [b""],
        [b"1", b"2"],
        [b"1, 2"],
        [b"5", b"05"],
        [b"+5"],
        [b"5_0"],
        [b"-1"],
        [b"5,"],
        [b"\xb2"],
        [b"0x5"],
        [b"1" * 19],
    ],
)
def test_content_length_in_doubt_is_an_error(values):
    with pytest.raises(ValueError, match="Content-Length"):
        parse_content_length(values)
