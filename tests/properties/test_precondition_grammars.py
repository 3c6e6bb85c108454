"""Entity tags, dates and ranges mean what an independent reading says, however they are written.

Dates are held against the standard library's formatter, comparison of tags against RFC 9110 section
8.8.3.2 word by word, ranges against a reader that knows nothing of regular expressions.
"""

from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from edgeproxy.http.conditionals import Precondition, evaluate, if_range_holds
from edgeproxy.http.dates import format_date, parse_date
from edgeproxy.http.ranges import ByteRange, Unsatisfiable, resolve_range

LATEST = 253_402_300_799  # 31 Dec 9999
YEAR = 366 * 86_400
moments = st.integers(0, LATEST).map(lambda epoch: datetime.fromtimestamp(epoch, UTC))
opaque = st.text(alphabet=st.sampled_from("!#aZ09,;/\\W*= ~-".replace(" ", "")), max_size=8)
tags = st.builds(lambda weak, text: f'{weak}"{text}"', st.sampled_from(["", "W/"]), opaque)
separators = st.sampled_from([",", ", ", " ,\t", ",,", ", ,"])


def epoch_of(moment: datetime) -> int:
    return int(moment.timestamp())


# --- dates (section 5.6.7) ------------------------------------------------------------------------


@given(moments)
def test_imf_fixdate_is_what_the_standard_library_writes(moment):
    written = (
        moment.strftime("%a, %d %b ") + f"{moment.year:04d}" + moment.strftime(" %H:%M:%S GMT")
    )
    assert format_date(epoch_of(moment)) == written.encode()
    assert parse_date(written.encode()) == epoch_of(moment)


@given(moments)
def test_asctime_is_what_the_standard_library_writes(moment):
    written = moment.ctime().encode()
    assert parse_date(written) == epoch_of(moment)


@given(st.integers(50 * YEAR, LATEST - 50 * YEAR), st.integers(-49 * 365, 49 * 365))
def test_two_digit_years_within_fifty_years_of_now_are_found_again(now, days):
    near = datetime.fromtimestamp(now, UTC) + timedelta(days=days)
    written = near.strftime("%A, %d-%b-%y %H:%M:%S GMT").encode()
    assert parse_date(written, now=now) == epoch_of(near)


# --- entity tags (section 8.8.3) ------------------------------------------------------------------


def weakly(left: str, right: str) -> bool:
    return left.removeprefix("W/") == right.removeprefix("W/")


def strongly(left: str, right: str) -> bool:
    return left == right and not left.startswith("W/") and not right.startswith("W/")


def listed(each: list[str], separator: str) -> list[tuple[bytes, bytes]]:
    return [(b"if-none-match", separator.join(each).encode())]


def verdict(fields: list[tuple[bytes, bytes]], own: str, method: bytes = b"GET") -> Precondition:
    return evaluate(method, fields, etag=own.encode(), last_modified=None, date=None)


@given(st.lists(tags, min_size=1, max_size=5), tags, separators, st.booleans())
def test_if_none_match_finds_its_tag_in_any_list(each, own, separator, over_lines):
    fields = listed(each, separator)
    if over_lines:
        fields = [line for tag in each for line in listed([tag], separator)]
    is_there = any(weakly(tag, own) for tag in each)
    assert verdict(fields, own) is (Precondition.NOT_MODIFIED if is_there else Precondition.PASS)
    assert verdict(fields, own, b"PUT") is (Precondition.FAILED if is_there else Precondition.PASS)


@given(st.lists(tags, min_size=1, max_size=5), tags, separators)
def test_if_match_finds_strong_tags_only(each, own, separator):
    fields = [(b"if-match", separator.join(each).encode())]
    is_there = any(strongly(tag, own) for tag in each)
    assert verdict(fields, own) is (Precondition.PASS if is_there else Precondition.FAILED)


@given(tags, tags)
def test_if_range_holds_for_the_same_strong_tag_only(told, own):
    fields = [(b"if-range", told.encode())]
    holds = if_range_holds(fields, etag=own.encode(), last_modified=None, date=None)
    assert holds is strongly(told, own)


@given(moments, moments, st.integers(0, 5))
def test_if_range_holds_for_exactly_the_date_that_is_a_second_old(told, own, age):
    assume(own.year < 9999)
    last_modified = format_date(epoch_of(own))
    date = format_date(epoch_of(own) + age)
    for moment in (told, own):
        fields = [(b"if-range", format_date(epoch_of(moment)))]
        holds = if_range_holds(fields, etag=b'"x"', last_modified=last_modified, date=date)
        assert holds is (moment == own and age >= 1)


@given(moments, moments)
def test_if_modified_since_compares_moments_whatever_their_form(told, own):
    for written in (format_date(epoch_of(told)), told.ctime().encode()):
        found = evaluate(
            b"GET",
            [(b"if-modified-since", written)],
            etag=None,
            last_modified=format_date(epoch_of(own)),
            date=None,
        )
        assert found is (Precondition.NOT_MODIFIED if own <= told else Precondition.PASS)


# --- ranges (section 14) --------------------------------------------------------------------------

positions = st.one_of(
    st.just(""),
    st.integers(0, 12).map(str),
    st.integers(0, 12).map(lambda number: f"00{number}"),
    st.just("9" * 30),
    st.sampled_from(["+1", "-1", "1_0", " 1", "１", "0x1", "1.0"]),
)


def expected(unit: str, first: str, last: str, length: int):
    """Read section 14.1.2 aloud."""
    if unit.lower() != "bytes" or not all(set(each) <= set("0123456789") for each in (first, last)):
        return None
    if first == "":
        if last == "" or length == 0 < int(last):
            return None
        suffix = int(last)
        return range(max(0, length - suffix), length) if suffix else "unsatisfiable"
    if last and int(last) < int(first):
        return None
    if int(first) >= length:
        return "unsatisfiable"
    return range(int(first), min(int(last), length - 1) + 1 if last else length)


@given(
    st.sampled_from(["bytes", "Bytes", "BYTES", "byte", "items", ""]),
    positions,
    positions,
    st.integers(0, 14),
)
def test_one_range_means_what_the_section_says(unit, first, last, length):
    value = f"{unit}={first}-{last}".encode()
    wanted = expected(unit, first, last, length)
    if first == " 1":  # optional white space is allowed there, and nowhere else
        wanted = expected(unit, "1", last, length)
    match resolve_range(value, length):
        case ByteRange(begin, end) as found:
            assert range(begin, end + 1) == wanted
            assert found.content_range(length) == b"bytes %d-%d/%d" % (begin, end, length)
        case Unsatisfiable(whole) as found:
            assert wanted == "unsatisfiable"
            assert found.content_range() == b"bytes */%d" % whole == b"bytes */%d" % length
        case None:
            assert wanted is None


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=2, max_size=50))
def test_several_ranges_are_none(pairs):
    value = b"bytes=" + b", ".join(b"%d-%d" % pair for pair in pairs)
    assert resolve_range(value, 100) is None
