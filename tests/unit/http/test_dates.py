import pytest

from edgeproxy.http.dates import format_date, parse_date

NOVEMBER_1994 = 784111777
OCTOBER_2025 = 1760000000


@pytest.mark.parametrize(
    "value",
    [
        b"Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sunday, 06-Nov-94 08:49:37 GMT",
        b"Sun Nov  6 08:49:37 1994",
        b"Sun Nov 06 08:49:37 1994",
        b"SUN, 06 NOV 1994 08:49:37 gmt",
    ],
)
def test_the_three_formats_name_one_moment(value):
    assert parse_date(value) == NOVEMBER_1994
    assert parse_date(value, now=OCTOBER_2025) == NOVEMBER_1994


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"0",
        b"-1",
        b"Sun, 06 Nov 1994 08:49:37 UTC",
        b"Sun, 06 Nov 1994 08:49:37 +0000",
        b"Sun, 06 Nov 1994 08:49:37",
        b"Sun, 6 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 94 08:49:37 GMT",
        b"Sun, 06-Nov-1994 08:49:37 GMT",
        b"Sun 06 Nov 1994 08:49:37 GMT",
        b"Sun,  06 Nov  1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 8:49:37 GMT",
        b"Sun, 06 Nov 1994 08.49.37 GMT",
        b"Sun, 06 Nov 1994 24:00:00 GMT",
        b"Sun, 31 Feb 1994 08:49:37 GMT",
        b"Sun, 00 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 0000 08:49:37 GMT",
        b"Xyz, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT\n",
        b" Sun, 06 Nov 1994 08:49:37 GMT",
        b"Sun, 06 Nov 1994 08:49:37 GMT, Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, ٠6 Nov 1994 08:49:37 GMT".encode(),
    ],
)
def test_anything_else_is_no_date(value):
    assert parse_date(value) is None


def test_two_digit_years_lie_at_most_fifty_years_ahead():
    def year(value, now):
        return format_date(parse_date(value, now=now))[12:16]

    assert year(b"Sunday, 01-Jan-70 00:00:00 GMT", OCTOBER_2025) == b"2070"
    assert year(b"Sunday, 01-Oct-75 00:00:00 GMT", OCTOBER_2025) == b"2075"
    assert year(b"Sunday, 31-Dec-75 00:00:00 GMT", OCTOBER_2025) == b"1975"
    assert year(b"Sunday, 01-Jan-99 00:00:00 GMT", OCTOBER_2025) == b"1999"
    # Near the end of a century, low numbers are the next one's.
    assert year(b"Sunday, 01-Jan-05 00:00:00 GMT", 3_900_000_000) == b"2105"


def test_two_digit_years_without_a_clock_follow_posix():
    assert parse_date(b"Sunday, 01-Jan-70 00:00:00 GMT") == 0
    assert format_date(parse_date(b"Sunday, 01-Jan-68 00:00:00 GMT"))[12:16] == b"2068"


def test_a_leap_second_is_valid():
    assert parse_date(b"Sat, 31 Dec 2016 23:59:60 GMT") == parse_date(
        b"Sun, 01 Jan 2017 00:00:00 GMT"
    )


@pytest.mark.parametrize(
    ("epoch", "text"),
    [
        (0, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (NOVEMBER_1994, b"Sun, 06 Nov 1994 08:49:37 GMT"),
        (951782400, b"Tue, 29 Feb 2000 00:00:00 GMT"),
        (-5, b"Thu, 01 Jan 1970 00:00:00 GMT"),
        (10**18, b"Fri, 31 Dec 9999 23:59:59 GMT"),
    ],
)
def test_dates_are_written_as_imf_fixdate(epoch, text):
    assert format_date(epoch) == text
