"""HTTP dates in and out (RFC 9110 section 5.6.7).

Reads the three formats, writes IMF-fixdate. Names match in any case, as RFC 9111 section 4.2 wants
of a cache; any zone but GMT, any missing zero, any extra blank makes the date invalid, and a cache
treats an invalid date as the past. Knows no clock and no locale.
"""

import re
from datetime import date

_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = (
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun",
    b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec",
)  # fmt: skip
_MONTH_NUMBER = {name.lower(): number for number, name in enumerate(_MONTHS, start=1)}

_DAY = rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)"
_LONG_DAY = rb"(?:Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday)"
_MONTH = rb"(?P<month>" + rb"|".join(_MONTHS) + rb")"
_TIME = rb"(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9]):(?P<second>[0-5][0-9]|60)"
_FORMATS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # IMF-fixdate: Sun, 06 Nov 1994 08:49:37 GMT
        _DAY + rb", (?P<day>[0-9]{2}) " + _MONTH + rb" (?P<year>[0-9]{4}) " + _TIME + rb" GMT",
        # rfc850-date: Sunday, 06-Nov-94 08:49:37 GMT
        _LONG_DAY + rb", (?P<day>[0-9]{2})-" + _MONTH + rb"-(?P<year>[0-9]{2}) " + _TIME + rb" GMT",
        # asctime-date: Sun Nov  6 08:49:37 1994
        _DAY + rb" " + _MONTH + rb" (?P<day>[0-9]{2}| [0-9]) " + _TIME + rb" (?P<year>[0-9]{4})",
    )
)
# The longest valid form is an rfc850 date on a Wednesday: 33 bytes.
_LENGTH_MAX = 33

_SECONDS_PER_DAY = 86400
_EPOCH = date(1970, 1, 1).toordinal()
_LATEST = (date.max.toordinal() - _EPOCH + 1) * _SECONDS_PER_DAY - 1
_YEARS_AHEAD_MAX = 50
# Without a `now`, two digits below this mean 20xx: the POSIX reading.
_PIVOT_YEAR = 69


def parse_date(value: bytes, *, now: float | None = None) -> int | None:
    """Return the seconds since the epoch of an HTTP-date, None if it is not valid.

    `now` settles the century of the obsolete rfc850 form: a date more than 50 years ahead lies in
    the past. The name of the day must be one, but is not checked against the date.
    """
    if len(value) > _LENGTH_MAX:
        return None
    for pattern in _FORMATS:
        if match := pattern.fullmatch(value):
            return _seconds(match, now)
    return None


def format_date(epoch: int) -> bytes:
    """Return the IMF-fixdate of seconds since the epoch, held within the years 1970 to 9999."""
    days, seconds = divmod(max(0, min(int(epoch), _LATEST)), _SECONDS_PER_DAY)
    day = date.fromordinal(_EPOCH + days)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        _DAYS[day.weekday()],
        day.day,
        _MONTHS[day.month - 1],
        day.year,
        seconds // 3600,
        seconds // 60 % 60,
        seconds % 60,
    )


def _seconds(match: re.Match[bytes], now: float | None) -> int | None:
    year, month = int(match["year"]), _MONTH_NUMBER[match["month"].lower()]
    day = int(match["day"])
    clock = int(match["hour"]) * 3600 + int(match["minute"]) * 60 + int(match["second"])
    if len(match["year"]) == 4:
        return _epoch(year, month, day, clock)
    if now is None:
        return _epoch(year + (2000 if year < _PIVOT_YEAR else 1900), month, day, clock)
    return _nearest_century(year, month, day, clock, now)


def _nearest_century(two_digits: int, month: int, day: int, clock: int, now: float) -> int | None:
    """Take the latest century in which the date is not more than 50 years ahead of `now`."""
    today = date.fromordinal(_EPOCH + int(max(0.0, min(now, _LATEST))) // _SECONDS_PER_DAY)
    limit = (today.year + _YEARS_AHEAD_MAX, today.month, today.day)
    year = (today.year // 100 + 1) * 100 + two_digits
    while (year, month, day) > limit:
        year -= 100
    return _epoch(year, month, day, clock)


def _epoch(year: int, month: int, day: int, clock: int) -> int | None:
    try:
        ordinal = date(year, month, day).toordinal()
    except ValueError:
        return None
    return (ordinal - _EPOCH) * _SECONDS_PER_DAY + clock
