"""A site without rules is a shared cache of RFC 9111: what is stored, and how long it is reused.

One table per question; every row runs over HTTP/1.1 and HTTP/2 against the same whole point of
presence.
"""

import pytest

from tests.support.rows import ASKED_AGAIN, REUSED, At, Row, Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

DAY = 86_400


def cc(value: str) -> tuple[str, str]:
    return ("cache-control", value)


def cdn(value: str) -> tuple[str, str]:
    return ("cdn-cache-control", value)


def surrogate(value: str) -> tuple[str, str]:
    return ("surrogate-control", value)


DATED = ("date", At(0))

FRESHNESS = [
    Row("9111 4.2", "nothing is stated, nothing is guessed", [], ASKED_AGAIN),
    Row("9111 4.2.1", "max-age", [cc("max-age=60")], REUSED),
    Row("9111 4.2.1", "max-age is over", [cc("max-age=2")], ASKED_AGAIN),
    Row("9111 4.2", "fresh means younger than its lifetime", [cc("max-age=3")], ASKED_AGAIN),
    Row("9111 4.2.1", "max-age=0", [cc("max-age=0")], ASKED_AGAIN, after=0),
    Row("9111 4.2.1", "s-maxage before max-age", [cc("max-age=1, s-maxage=60")], REUSED),
    Row("9111 4.2.1", "a short s-maxage too", [cc("max-age=60, s-maxage=1")], ASKED_AGAIN),
    Row("9111 4.2.1", "the order is nothing", [cc("s-maxage=60, max-age=1")], REUSED),
    Row("9111 4.2.1", "Expires - Date", [("expires", At(60)), DATED], REUSED),
    Row("9111 5.3", "Expires without Date", [("expires", At(60))], REUSED),
    Row("9111 5.3", "Expires is Date", [("expires", At(0)), DATED], ASKED_AGAIN),
    Row("9111 5.3", "Expires is past", [("expires", At(-60)), DATED], ASKED_AGAIN),
    Row("9111 5.3", "Expires: 0", [("expires", "0"), DATED], ASKED_AGAIN),
    Row("9111 5.3", "max-age before Expires", [cc("max-age=60"), ("expires", At(-9))], REUSED),
    Row("9111 5.3", "max-age=0 too", [cc("max-age=0"), ("expires", At(60))], ASKED_AGAIN),
    Row("9111 5.3", "an invalid Expires too", [cc("max-age=60"), ("expires", "0")], REUSED),
    Row("9111 4.2.1", "s-maxage before Expires", [cc("s-maxage=1"), ("expires", At(60))], False),
    Row("9111 1.2.2", "2^31 seconds", [cc("max-age=2147483648")], REUSED, after=9 * DAY),
    Row("9111 1.2.2", "more than that", [cc("max-age=99999999999999999999")], REUSED),
    Row("8246 2", "immutable has a lifetime like others", [cc("max-age=2, immutable")], False),
]

DIRECTIVES = [
    Row("9111 5.2", "any case", [cc("MaX-AgE=60")], REUSED),
    Row("9111 5.2.3", "unknown directives", [cc('foo, bar=1, baz="a, b", max-age=60')], REUSED),
    Row("9111 5.2", "a quoted number", [cc('max-age="60"')], REUSED),
    Row("9111 5.2", "several lines", [cc("foo"), cc("max-age=60")], REUSED),
    Row("9110 5.6.1", "empty members", [cc(", ,max-age=60, ,")], REUSED),
    Row("9111 4.2.1", "no number", [cc("max-age=a60")], ASKED_AGAIN),
    Row("9111 4.2.1", "more than a number", [cc("max-age=60a")], ASKED_AGAIN),
    Row("9111 4.2.1", "a negative number", [cc("max-age=-60")], ASKED_AGAIN),
    Row("9111 4.2.1", "a fraction", [cc("max-age=60.5")], ASKED_AGAIN),
    Row("9111 4.2.1", "nothing", [cc("max-age=")], ASKED_AGAIN),
    Row("9111 4.2.1", "a blank before =", [cc("max-age =60")], ASKED_AGAIN),
    Row("9111 4.2.1", "a blank behind =", [cc("max-age= 60")], ASKED_AGAIN),
    Row("9111 4.2.1", "leading zeros", [cc("max-age=0060")], REUSED),
    Row("9111 4.2.1", "the smaller of two", [cc("max-age=60, max-age=1")], ASKED_AGAIN),
    Row("9111 4.2.1", "on two lines", [cc("max-age=1"), cc("max-age=60")], ASKED_AGAIN),
    Row("9111 5.2", "within a string is no directive", [cc('ext="max-age=60"')], ASKED_AGAIN),
    Row("9111 5.2.2.5", "no-store", [cc("max-age=60, no-store")], ASKED_AGAIN),
    Row("9111 5.2.2.5", "No-StOrE", [cc("max-age=60, No-StOrE")], ASKED_AGAIN),
    Row("9111 5.2.2.5", "no-store with an argument", [cc("max-age=60, no-store=x")], False),
    Row("9111 5.2.2.4", "no-cache", [cc("max-age=60, no-cache")], ASKED_AGAIN),
    Row("9111 5.2.2.4", "no-cache on fields", [cc('max-age=60, no-cache="a"')], REUSED),
    Row("9111 5.2.2.7", "private", [cc("max-age=60, private")], ASKED_AGAIN),
    Row("9111 5.2.2.7", "private with s-maxage", [cc("private, s-maxage=60")], ASKED_AGAIN),
    Row("9111 5.2.2.7", "private on fields", [cc('max-age=60, private="a"')], REUSED),
    Row("9111 5.2.2.2", "must-revalidate, fresh", [cc("max-age=60, must-revalidate")], REUSED),
    Row("9111 5.2.2.8", "proxy-revalidate, fresh", [cc("max-age=60, proxy-revalidate")], REUSED),
    Row("9111 5.2.2.3", "understood", [cc("max-age=60, no-store, must-understand")], REUSED),
    Row("9111 5.4", "Pragma of a response", [cc("max-age=60"), ("pragma", "no-cache")], REUSED),
    Row("5861 3", "stale while asking", [cc("max-age=60, stale-while-revalidate=9")], REUSED),
]

AGE = [
    Row("9111 4.2.3", "an older response", [cc("max-age=60"), ("age", "58")], ASKED_AGAIN),
    Row("9111 4.2.3", "an old response", [cc("max-age=60"), ("age", "50")], REUSED),
    Row("9111 4.2.3", "an old Date", [cc("max-age=60"), ("date", At(-58))], ASKED_AGAIN),
    Row("9111 4.2.3", "a Date to come", [cc("max-age=60"), ("date", At(58))], REUSED),
    Row("9111 4.2.3", "the larger one", [cc("max-age=60"), ("date", At(-58)), ("age", "1")], False),
    Row("9111 4.2.3", "with Expires", [("expires", At(60)), DATED, ("age", "58")], ASKED_AGAIN),
    Row("9111 5.1", "no number", [cc("max-age=60"), ("age", "abc")], ASKED_AGAIN),
    Row("9111 5.1", "a negative number", [cc("max-age=60"), ("age", "-7200")], ASKED_AGAIN),
    Row("9111 5.1", "a fraction", [cc("max-age=60"), ("age", "7200.0")], ASKED_AGAIN),
    Row("9111 5.1", "a parameter", [cc("max-age=60"), ("age", "0;foo=bar")], ASKED_AGAIN),
    Row("9111 5.1", "2^31", [cc("max-age=60"), ("age", "2147483648")], ASKED_AGAIN),
    Row("9111 5.1", "beyond it", [cc("max-age=60"), ("age", "9" * 30)], ASKED_AGAIN),
    Row("9111 5.1", "the first of a list, old", [cc("max-age=60"), ("age", "72, 0")], False),
    Row("9111 5.1", "the first of a list, young", [cc("max-age=60"), ("age", "0,72")], REUSED),
    Row("9111 5.1", "joined lines", [cc("max-age=60"), ("age", "0, 72")], ASKED_AGAIN),
    Row("9111 5.1", "two lines, old", [cc("max-age=60"), ("age", "72"), ("age", "0")], False),
    Row("9111 5.1", "two lines, young", [cc("max-age=60"), ("age", "0"), ("age", "72")], False),
    Row("9111 5.1", "twice the same", [cc("max-age=60"), ("age", "0"), ("age", "0")], False),
]

DATES = [
    Row("9110 5.6.7", f"Expires: {value}", [("expires", value), DATED], is_reused)
    for value, is_reused in [
        ("Sun, 21 Nov 2286 04:46:39 GMT", REUSED),
        ("Sunday, 21-Nov-59 04:46:39 GMT", REUSED),
        ("Sun Nov  6 08:49:37 2095", REUSED),
        ("Sun, 21 Nov 2286 04:46:39 gmt", REUSED),
        ("Thu, 18 Aug 2050 02:01:18 UTC", ASKED_AGAIN),
        ("Thu, 18 Aug 2050 02:01:18 AEST", ASKED_AGAIN),
        ("Thu, 18 Aug 2050 02:01:18 +0000", ASKED_AGAIN),
        ("Thu, 18 Aug 50 02:01:18 GMT", ASKED_AGAIN),
        ("Thu 18 Aug 2050 02:01:18 GMT", ASKED_AGAIN),
        ("Thu, 18  Aug  2050 02:01:18 GMT", ASKED_AGAIN),
        ("Thu, 18-Aug-2050 02:01:18 GMT", ASKED_AGAIN),
        ("Thu, 18 Aug 2050 02.01.18 GMT", ASKED_AGAIN),
        ("Thu, 18 Aug 2050 2:01:18 GMT", ASKED_AGAIN),
        ("Thu, 30 Feb 2050 02:01:18 GMT", ASKED_AGAIN),
        ("2050-08-18T02:01:18Z", ASKED_AGAIN),
    ]
]

TARGETED = [
    Row("9213 2.2", "it speaks for us", [cdn("max-age=60")], REUSED),
    Row("9213 2.2", "and over Cache-Control", [cdn("max-age=60"), cc("no-store")], REUSED),
    Row("9213 2.2", "in both directions", [cdn("max-age=1"), cc("max-age=60")], ASKED_AGAIN),
    Row("9213 2.2", "and over Expires", [cdn("max-age=0"), ("expires", At(60))], ASKED_AGAIN),
    Row("9213 2.2", "no-store", [cdn("no-store"), cc("max-age=60")], ASKED_AGAIN),
    Row("9213 2.2", "private", [cdn("private"), cc("max-age=60")], ASKED_AGAIN),
    Row("9213 2.2", "no-cache", [cdn("no-cache"), cc("max-age=60")], ASKED_AGAIN),
    Row("9213 2.2", "silent on lifetimes", [cdn("public"), cc("max-age=60")], ASKED_AGAIN),
    Row("9213 2.2", "s-maxage", [cdn("s-maxage=60, max-age=1")], REUSED),
    Row("9213 2.1", "with Age", [cdn("max-age=60"), ("age", "58")], ASKED_AGAIN),
    Row("9213 2.1", "unknown members", [cdn("foo=(1 2);x, max-age=60;y")], REUSED),
    Row("9213 2.1", "several lines", [cdn("foo"), cdn("max-age=60")], REUSED),
    Row("9213 2.1", "too large", [cdn("max-age=99999999999")], REUSED),
    Row("9213 2.1", "empty", [cdn(""), cc("max-age=60")], REUSED),
    Row("9213 2.1", "a blank before =", [cdn("max-age =60"), cc("max-age=1")], ASKED_AGAIN),
    Row("9213 2.1", "broken", [cdn("max-age=60, &&&"), cc("no-store")], ASKED_AGAIN),
    Row("9213 2.1", "broken, the other way", [cdn("max-age=1, &&&"), cc("max-age=60")], REUSED),
    Row("9213 2.1", "another type", [cdn('max-age="60"'), cc("no-store")], ASKED_AGAIN),
    Row("9213 2.1", "no key", [cdn("MaX-aGe=60"), cc("no-store")], ASKED_AGAIN),
    Row("9213 2.2", "not our target", [("other-cache-control", "max-age=60")], ASKED_AGAIN),
    Row("9213 2.2", "the second of our targets", [surrogate("max-age=60")], REUSED),
    Row("9213 2.2", "over no-store", [surrogate("max-age=60"), cc("no-store")], REUSED),
    Row("9213 2.2", "over max-age", [surrogate("max-age=1"), cc("max-age=60")], ASKED_AGAIN),
    Row("9213 2.2", "over Expires", [surrogate("max-age=0"), ("expires", At(60))], ASKED_AGAIN),
    Row("9213 2.2", "no-store in it", [surrogate("no-store"), cc("max-age=60")], ASKED_AGAIN),
    Row("9213 2.2", "behind the first", [surrogate("no-store"), cdn("max-age=60")], REUSED),
    Row("9213 2.2", "where the first is broken", [surrogate("max-age=60"), cdn("&")], REUSED),
    Row("9213 2.2", "to us by name", [surrogate("no-store, max-age=9;edgeproxy")], ASKED_AGAIN),
    Row("9213 2.2", "to another surrogate", [surrogate("max-age=60;you")], ASKED_AGAIN),
    Row("9213 2.2", "to us and another", [surrogate("max-age=1;you, max-age=60;edgeproxy")], True),
    Row("9213 2.2", "not about caching", [surrogate('content="ESI/1.0"'), cc("max-age=60")], True),
]

MODIFIED = ("last-modified", At(-1000))
WITH_A_LIFETIME = [200, 201, 202, 203, 299, 300, 301, 302, 303, 307, 308]
WITH_A_LIFETIME += [400, 404, 410, 414, 499, 500, 501, 502, 503, 504, 599]

STATUSES = [
    *(
        Row("9110 15.1", f"{status} may be guessed", [MODIFIED, DATED], REUSED, status=status)
        for status in (200, 203, 300, 301, 308, 404, 410)
    ),
    *(
        Row("9111 4.2.2", f"{status} may not", [MODIFIED, DATED], ASKED_AGAIN, status=status)
        for status in (201, 202, 302, 303, 307, 400, 403, 405, 414, 500, 501, 502, 503, 504, 599)
    ),
    *(
        Row("9111 3", f"{status} with a lifetime", [cc("max-age=60")], REUSED, status=status)
        for status in WITH_A_LIFETIME
    ),
    *(
        Row("9111 3", f"{status} is for one request", [cc("max-age=60")], False, status=status)
        for status in (412, 416, 417, 421, 425)
    ),
    Row("9111 4.2.2", "public, guessed", [cc("public"), MODIFIED, DATED], REUSED, status=299),
    Row("9111 5.2.2.3", "not understood", [cc("max-age=60, must-understand")], False, status=299),
    Row("9111 4.2.2", "a tenth", [("last-modified", At(-20)), DATED], ASKED_AGAIN),
    Row("9111 4.2.2", "not where the end is stated", [MODIFIED, ("expires", At(-1))], ASKED_AGAIN),
]

AUTHORIZED = [("authorization", "Bearer t")]

PERSONAL = [
    Row("9111 3.5", "max-age", [cc("max-age=60")], ASKED_AGAIN, ask=AUTHORIZED),
    Row("9111 3.5", "Expires", [("expires", At(60)), DATED], ASKED_AGAIN, ask=AUTHORIZED),
    Row("9111 3.5", "public", [cc("max-age=60, public")], REUSED, ask=AUTHORIZED),
    Row("9111 3.5", "s-maxage", [cc("s-maxage=60")], REUSED, ask=AUTHORIZED),
    Row("9111 3.5", "must-revalidate", [cc("max-age=60, must-revalidate")], True, ask=AUTHORIZED),
    Row("9111 3.5", "for others", [cc("max-age=60")], ASKED_AGAIN, ask=AUTHORIZED, then=[]),
    Row("9111 3.5", "from others", [cc("max-age=60")], REUSED, then=AUTHORIZED),
    Row("9111 3", "Cookie changes nothing", [cc("max-age=60")], REUSED, then=[("cookie", "a=b")]),
    Row("9111 7.3", "Set-Cookie", [cc("max-age=60"), ("set-cookie", "a=b")], ASKED_AGAIN),
    Row(
        "9111 5.2.2.7",
        "Set-Cookie, named as private",
        [cc('max-age=60, private="set-cookie"'), ("set-cookie", "a=b")],
        REUSED,
    ),
]


def varying(value: str, *more: str) -> list[tuple[str, str]]:
    return [cc("max-age=60"), *(("vary", each) for each in (value, *more))]


FOO = [("foo", "1")]

VARY = [
    Row("9111 4.1", "equal", varying("Foo"), REUSED, ask=FOO),
    Row("9111 4.1", "different", varying("Foo"), ASKED_AGAIN, ask=FOO, then=[("foo", "2")]),
    Row("9111 4.1", "now absent", varying("Foo"), ASKED_AGAIN, ask=FOO, then=[]),
    Row("9111 4.1", "absent before", varying("Foo"), ASKED_AGAIN, then=FOO),
    Row("9111 4.1", "absent both times", varying("Foo"), REUSED, then=[("bar", "1")]),
    Row("9111 4.1", "others do not matter", varying("Foo"), True, ask=FOO, then=[*FOO, ("b", "1")]),
    Row("9111 4.1", "names have no case", varying("FOO"), REUSED, ask=FOO),
    Row("9111 4.1", "values have", varying("Foo"), False, ask=[("foo", "a")], then=[("foo", "A")]),
    Row("9111 4.1", "all of several", varying("Foo, Bar"), REUSED, ask=[*FOO, ("bar", "x")]),
    Row(
        "9111 4.1",
        "one of several",
        varying("Foo", "Bar"),
        ASKED_AGAIN,
        ask=[*FOO, ("bar", "x")],
        then=[*FOO, ("bar", "y")],
    ),
    Row(
        "9111 4.1",
        "lines joined",
        varying("Foo"),
        REUSED,
        ask=[("foo", "1, 2")],
        then=[("foo", "1"), ("foo", "2")],
    ),
    Row(
        "9111 4.1",
        "blanks around commas",
        varying("Foo"),
        REUSED,
        ask=[("foo", "1,2")],
        then=[("foo", "1 , 2")],
    ),
    Row(
        "9111 4.1",
        "blanks of languages",
        varying("Accept-Language"),
        REUSED,
        ask=[("accept-language", "en, de;q=0.5")],
        then=[("accept-language", "en,de; q=0.5")],
    ),
    *(
        Row("9111 4.1", f"* in {' / '.join(values)}", varying(*values), ASKED_AGAIN, ask=FOO)
        for values in [("*",), ("*, *",), ("*", "*"), (", *",), ("", "*"), ("*, Foo",), ("Foo, *",)]
    ),
    Row("9111 4.1", "what we write ourselves", varying("Forwarded"), ASKED_AGAIN),
]

ASKS = [
    Row("9111 5.2.1.4", "no-cache", [cc("max-age=60")], ASKED_AGAIN, then=[cc("no-cache")]),
    Row("9111 5.2.1.1", "max-age=0", [cc("max-age=60")], ASKED_AGAIN, then=[cc("max-age=0")]),
    Row("9111 5.2.1.1", "max-age, too old", [cc("max-age=60")], False, then=[cc("max-age=2")]),
    Row("9111 5.2.1.1", "max-age, young", [cc("max-age=60")], REUSED, then=[cc("max-age=3")]),
    Row(
        "9111 5.2.1.1",
        "max-age counts elsewhere too",
        [cc("max-age=600"), ("age", "100")],
        ASKED_AGAIN,
        then=[cc("max-age=50")],
    ),
    Row("9111 5.2.1.3", "min-fresh, enough", [cc("max-age=60")], REUSED, then=[cc("min-fresh=9")]),
    Row("9111 5.2.1.3", "min-fresh, not", [cc("max-age=60")], False, then=[cc("min-fresh=90")]),
    Row(
        "9111 5.2.1.2", "max-stale is not granted", [cc("max-age=1")], False, then=[cc("max-stale")]
    ),
    Row("9111 5.2.1.5", "no-store of the next", [cc("max-age=60")], REUSED, then=[cc("no-store")]),
    Row("9111 5.2.1.5", "no-store", [cc("max-age=60")], False, ask=[cc("no-store")], then=[]),
    Row("9111 5.2.1.7", "only-if-cached", [cc("max-age=60")], REUSED, then=[cc("only-if-cached")]),
    Row("9111 5.4", "Pragma", [cc("max-age=60")], REUSED, then=[("pragma", "no-cache")]),
    Row("9111 5.2.3", "unknown", [cc("max-age=60")], REUSED, then=[cc("foo=bar")]),
    Row("9111 4", "HEAD from GET", [cc("max-age=60")], REUSED, method="HEAD"),
    Row("9111 4", "HEAD, stale", [cc("max-age=1")], ASKED_AGAIN, method="HEAD"),
]


TABLES = {
    "freshness": FRESHNESS,
    "directives": DIRECTIVES,
    "age": AGE,
    "dates": DATES,
    "targeted": TARGETED,
    "statuses": STATUSES,
    "personal": PERSONAL,
    "vary": VARY,
    "asks": ASKS,
}


@pytest.mark.parametrize(
    "row", [pytest.param(row, id=f"{name}-{row}") for name, rows in TABLES.items() for row in rows]
)
async def test_a_response_is_reused_or_not(stage: Stage, row: Row) -> None:
    await row.run(stage)
