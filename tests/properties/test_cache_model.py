"""The cache core against a model of RFC 9111 that shares no code with it.

The model works on what an origin *means* (plain Python values) and the core on the field lines that
this meaning is written as. It answers one question, "does the RFC forbid this reuse?", as plainly
as the RFC asks it, without any of the shortcuts of the core.
"""

from dataclasses import dataclass, replace
from hashlib import sha256

import pytest
from hypothesis import Phase, example, find, given, settings
from hypothesis import strategies as st

from edgeproxy.cache.freshness import corrected_initial_age, freshness_of
from edgeproxy.cache.invalidation import targets_to_invalidate
from edgeproxy.cache.policy import TRANSPARENT, CachePolicy
from edgeproxy.cache.reuse import (
    Forward,
    Reuse,
    ReuseWhileValidating,
    decide,
    may_serve_stale_on_error,
)
from edgeproxy.cache.stored import make_stored
from edgeproxy.cache.storing import DoNotStore, fields_to_store, may_store
from edgeproxy.cache.validation import conditional_fields, freshen, select_for_304
from edgeproxy.cache.vary import matches
from edgeproxy.http.dates import format_date
from edgeproxy.http.messages import ConnectionInfo, Request
from tests.support.caching import NOW, get, lines

HEURISTIC = {200, 203, 204, 206, 300, 301, 308, 404, 405, 410, 414, 501}


@dataclass(frozen=True)
class Said:
    """The directives of one Cache-Control field."""

    flags: frozenset[str] = frozenset()
    max_age: int | None = None
    s_maxage: int | None = None
    while_revalidate: int | None = None
    if_error: int | None = None

    def write(self):
        numbers = {
            "max-age": self.max_age,
            "s-maxage": self.s_maxage,
            "stale-while-revalidate": self.while_revalidate,
            "stale-if-error": self.if_error,
        }
        stated = [f"{name}={value}" for name, value in numbers.items() if value is not None]
        return ", ".join([*sorted(self.flags), *stated])

    def __bool__(self):
        return bool(self.write())


@dataclass(frozen=True)
class Answer:
    """What an origin means; times are offsets from the moment the answer arrives."""

    status: int = 200
    general: Said = Said()
    targeted: Said = Said()
    surrogate: Said = Said()
    date: int | None = None
    expires: int | str | None = None
    last_modified: int | None = None
    age: int | str | None = None
    etag: str | None = None
    vary: tuple[str, ...] = ()
    set_cookie: bool = False

    def lines(self):
        def moment(offset):
            return format_date(int(NOW) + offset).decode()

        fields = {
            "cache_control": self.general.write() or None,
            "cdn_cache_control": self.targeted.write() or None,
            "surrogate_control": self.surrogate.write() or None,
            "date": None if self.date is None else moment(self.date),
            "expires": moment(self.expires) if isinstance(self.expires, int) else self.expires,
            "last_modified": None if self.last_modified is None else moment(self.last_modified),
            "age": None if self.age is None else str(self.age),
            "etag": self.etag,
            "vary": ", ".join(self.vary) or None,
            "set_cookie": "a=b" if self.set_cookie else None,
        }
        return lines(**{name: value for name, value in fields.items() if value is not None})

    @property
    def ruling(self):
        if self.targeted or not self.is_targeted:
            return self.targeted or self.general
        return self.surrogate

    @property
    def is_targeted(self):
        """Whether a targeted field rules; `public` alone is nothing in Surrogate-Control."""
        return (
            bool(self.targeted)
            or replace(self.surrogate, flags=self.surrogate.flags - {"public"}) != Said()
        )

    @property
    def age_value(self):
        """The first member of Age, 0 where it is no number."""
        first = str(self.age or 0).partition(",")[0].strip()
        return int(first) if first.isdecimal() else 0


@dataclass(frozen=True)
class Ask:
    method: str = "GET"
    foo: str | None = None
    authorized: bool = False
    no_cache: bool = False
    max_age: int | None = None
    min_fresh: int | None = None

    def request(self):
        directives = [
            *(["no-cache"] if self.no_cache else []),
            *([] if self.max_age is None else [f"max-age={self.max_age}"]),
            *([] if self.min_fresh is None else [f"min-fresh={self.min_fresh}"]),
        ]
        fields = {
            "foo": self.foo,
            "authorization": "Basic eA==" if self.authorized else None,
            "cache_control": ", ".join(directives) or None,
        }
        stated = {name: value for name, value in fields.items() if value is not None}
        return get(method=self.method, **stated)


# --- the model ---


def model_lifetime(answer):
    said = answer.ruling
    if said.s_maxage is not None:
        return said.s_maxage
    if said.max_age is not None:
        return said.max_age
    if answer.expires is not None and not answer.is_targeted:
        if isinstance(answer.expires, str):
            return 0
        return max(0, answer.expires - (answer.date or 0))
    if answer.last_modified is None:
        return 0
    if answer.status not in HEURISTIC and "public" not in said.flags:
        return 0
    return max(0, (answer.date or 0) - answer.last_modified) // 10


def model_age(answer, elapsed, took):
    return max(-(answer.date or 0), answer.age_value + took, 0) + elapsed


def forbidden_to_store(answer, asked):
    flags = answer.ruling.flags
    if asked.method != "GET" or answer.status in {206, 304} or answer.status < 200:
        return True
    if flags & {"no-store", "private"}:
        return True
    permits = flags & {"public", "must-revalidate"} or answer.ruling.s_maxage is not None
    return asked.authorized and not permits


def forbidden_to_reuse(answer, asked, asks, *, elapsed, took):
    """Tell whether the RFC forbids to answer `asks` unvalidated by what `asked` brought."""
    said = answer.ruling
    if forbidden_to_store(answer, asked) or asks.method not in {"GET", "HEAD"}:
        return True
    if "no-cache" in said.flags or "*" in answer.vary:
        return True
    if "Foo" in answer.vary and asked.foo != asks.foo:
        return True
    age, lifetime = model_age(answer, elapsed, took), model_lifetime(answer)
    if lifetime > age:
        return False
    if said.flags & {"must-revalidate", "proxy-revalidate"} or said.s_maxage is not None:
        return True
    return age >= lifetime + (said.while_revalidate or 0)


def refused_by_client(answer, asks, *, elapsed, took):
    age = model_age(answer, elapsed, took)
    return (
        asks.no_cache
        or (asks.max_age is not None and age > asks.max_age)
        or (asks.min_fresh is not None and model_lifetime(answer) - age < asks.min_fresh)
    )


# --- what is generated ---

# A plain reusable case with a few twists: of independent random parts nearly every combination is
# refused for two reasons at once, and then no single rule is put to the test.
seconds = st.integers(0, 60)
maybe = st.none() | seconds
FLAGS = ["no-store", "no-cache", "private", "public", "must-revalidate", "proxy-revalidate"]


def twisted(base, most, **choices):
    twists = st.one_of([st.tuples(st.just(name), values) for name, values in choices.items()])
    return st.builds(
        lambda start, changes: replace(start, **dict(changes)),
        base,
        st.lists(twists, max_size=most, unique_by=lambda twist: twist[0]),
    )


said = twisted(
    st.builds(Said, max_age=st.integers(20, 60)),
    3,
    flags=st.frozensets(st.sampled_from(FLAGS), min_size=1, max_size=2),
    max_age=st.none(),
    s_maxage=seconds,
    while_revalidate=seconds,
    if_error=seconds,
)
answers = twisted(
    st.builds(Answer, general=said),
    3,
    status=st.sampled_from([203, 204, 206, 301, 302, 304, 404, 410, 500, 503, 599]),
    general=st.just(Said()),
    targeted=said,
    surrogate=said,
    date=st.integers(-30, 20),
    expires=st.integers(-30, 60) | st.sampled_from(["0", "soon"]),
    last_modified=st.integers(-600, 0),
    age=seconds | st.sampled_from(["soon", "-1", "1.5", "1, 2", "0;a=1"]),
    etag=st.sampled_from(['"1"', 'W/"2"']),
    vary=st.sampled_from([("Foo",), ("Foo",), ("Foo", "*"), ("*",)]),
    set_cookie=st.just(value=True),
)
askers = twisted(st.just(Ask()), 1, foo=st.sampled_from(["1", "2"]), authorized=st.just(value=True))
asks = twisted(
    st.just(Ask()),
    2,
    method=st.sampled_from(["HEAD", "POST"]),
    foo=st.sampled_from(["1", "2"]),
    authorized=st.just(value=True),
    no_cache=st.just(value=True),
    max_age=seconds,
    min_fresh=seconds,
)
policies = st.builds(
    CachePolicy,
    edge_lifetime=maybe,
    default_lifetime=maybe,
    stale_while_revalidate=maybe,
    stale_if_error=maybe,
    negative_lifetime=seconds,
    honours_request_directives=st.booleans(),
)


def store(answer, asked, *, took=0, policy=TRANSPARENT):
    request, fields = asked.request(), answer.lines()
    decision = may_store(request, answer.status, fields, policy=policy, response_time=NOW)
    if isinstance(decision, DoNotStore):
        return None
    return make_stored(
        b"key",
        answer.status,
        fields_to_store(fields),
        b"body",
        digest=sha256(b"body").digest(),
        request_fields=request.fields,
        request_time=NOW - took,
        response_time=NOW,
        freshness=decision.freshness,
    )


@settings(max_examples=500)
@given(answers, askers, asks, seconds, st.integers(0, 20))
@example(Answer(general=Said(max_age=60), vary=("Foo", "*")), Ask(), Ask(), 1, 0)
@example(Answer(general=Said(max_age=60)), Ask(), Ask(max_age=5), 8, 0)
@example(Answer(targeted=Said(frozenset({"public"})), expires=60, etag='"1"'), Ask(), Ask(), 1, 0)
@example(Answer(general=Said(s_maxage=1, while_revalidate=60)), Ask(), Ask(), 9, 0)
def test_nothing_forbidden_is_reused(answer, asked, then, elapsed, took):
    stored = store(answer, asked, took=took)
    if stored is None:
        return
    assert not forbidden_to_store(answer, asked)
    decision = decide(then.request(), [stored], NOW + elapsed, policy=TRANSPARENT)
    is_forbidden = forbidden_to_reuse(answer, asked, then, elapsed=elapsed, took=took)
    is_refused = refused_by_client(answer, then, elapsed=elapsed, took=took)
    if is_forbidden or is_refused:
        assert isinstance(decision, Forward)
    if isinstance(answer.age, str):
        assert not isinstance(decision, Reuse)
    if isinstance(decision, Reuse):
        assert model_age(answer, elapsed, took) < model_lifetime(answer)
        assert stored.current_age(NOW + elapsed) == model_age(answer, elapsed, took)


@settings(max_examples=500)
@given(answers, askers, seconds, st.integers(0, 20))
def test_what_may_be_reused_is(answer, asked, elapsed, took):
    """The other direction: a cache that never reuses anything would forbid nothing wrongly."""
    answer = replace(
        answer, status=200, set_cookie=False, date=answer.date or 0, age=answer.age_value
    )
    then = replace(asked, method="GET", no_cache=False, max_age=None, min_fresh=None)
    if forbidden_to_reuse(answer, asked, then, elapsed=elapsed, took=took):
        return
    stored = store(answer, asked, took=took)
    age, lifetime = model_age(answer, elapsed, took), model_lifetime(answer)
    if stored is None:
        assert lifetime == 0
        return
    decision = decide(then.request(), [stored], NOW + elapsed, policy=TRANSPARENT)
    assert decision == (Reuse(stored) if age < lifetime else ReuseWhileValidating(stored))


@given(answers, askers, policies, asks, seconds)
def test_no_policy_lifts_a_prohibition(answer, asked, policy, then, elapsed):
    stored = store(answer, asked, policy=policy)
    if stored is None:
        return
    assert not forbidden_to_store(answer, asked)
    assert not answer.set_cookie
    assert answer.status < 500 or policy.edge_lifetime is None
    now = NOW + elapsed
    decision = decide(then.request(), [stored], now, policy=policy)
    if "no-cache" in answer.ruling.flags:
        assert isinstance(decision, Forward)
        assert not may_serve_stale_on_error(stored, now)
    if "*" in answer.vary or ("Foo" in answer.vary and asked.foo != then.foo):
        assert isinstance(decision, Forward)


EAGERNESS = {Reuse: 2, ReuseWhileValidating: 1, Forward: 0}


@given(answers, askers, policies, asks, seconds, seconds)
def test_freshness_only_falls_with_time(answer, asked, policy, then, early, wait):
    stored = store(answer, asked, policy=policy)
    if stored is None:
        return
    first = decide(then.request(), [stored], NOW + early, policy=policy)
    second = decide(then.request(), [stored], NOW + early + wait, policy=policy)
    assert EAGERNESS[type(first)] >= EAGERNESS[type(second)]
    assert may_serve_stale_on_error(stored, NOW + early) or not may_serve_stale_on_error(
        stored, NOW + early + wait
    )
    assert stored.current_age(NOW + early + wait) == stored.current_age(NOW + early) + wait


@given(st.lists(st.tuples(answers, askers), max_size=4), asks, seconds)
def test_the_answer_is_the_most_recent_that_matches(pairs, then, elapsed):
    kept = [stored for answer, asked in pairs if (stored := store(answer, asked)) is not None]
    decision = decide(then.request(), kept, NOW + elapsed, policy=TRANSPARENT)
    matching = [stored for stored in kept if matches(stored, then.request().fields)]
    if decision.stored is not None:
        assert decision.stored in matching
        assert decision.stored.date_value == max(stored.date_value for stored in matching)
    elif then.method in {"GET", "HEAD"}:
        assert not matching


@given(answers, askers, answers, seconds)
def test_a_304_never_makes_reusable_what_its_fields_forbid(answer, asked, confirmation, wait):
    stored = store(answer, asked)
    if stored is None:
        return
    again = NOW + wait
    update = [line for line in confirmation.lines() if line[0] not in {b"expires", b"date"}]
    fresh = freshen(stored, update, request_time=again, response_time=again, policy=TRANSPARENT)
    assert fresh.body is stored.body
    assert fresh.current_age(again) == float(confirmation.age_value)
    ruling = confirmation.ruling if confirmation.targeted else None
    if ruling and ruling.flags & {"no-store", "private", "no-cache"}:
        assert isinstance(decide(asked.request(), [fresh], again, policy=TRANSPARENT), Forward)
    assert dict(fresh.fields).get(b"set-cookie") is None


field_names = st.sampled_from(
    [
        b"cache-control",
        b"cdn-cache-control",
        b"expires",
        b"date",
        b"age",
        b"vary",
        b"etag",
        b"last-modified",
        b"set-cookie",
        b"content-length",
        b"connection",
        b"location",
        b"authorization",
        b"foo",
    ]
)
junk = st.lists(
    st.tuples(
        field_names,
        st.binary(max_size=30)
        | st.text(alphabet='no-cahe,="*9 foSMTgJ:/;', max_size=30).map(str.encode),
    ),
    max_size=6,
)


@given(junk, junk, junk, st.integers(0, 1000), st.binary(max_size=20), policies)
def test_no_bytes_make_the_cache_raise(asked, answered, confirmed, status, target, policy):
    request = Request(
        b"GET", target, asked, authority=target, connection=ConnectionInfo("192.0.2.1")
    )
    may_store(request, status, answered, policy=policy, response_time=NOW)
    corrected_initial_age(answered, request_time=NOW, response_time=NOW)
    stored = make_stored(
        b"key",
        status,
        fields_to_store(answered),
        b"",
        digest=sha256(b"").digest(),
        request_fields=asked,
        request_time=NOW,
        response_time=NOW,
        freshness=freshness_of(status, answered, response_time=NOW, policy=policy),
        generates_validators=True,
    )
    decide(request, [stored], NOW, policy=policy)
    conditional_fields([stored])
    select_for_304([stored, stored], confirmed)
    freshen(stored, confirmed, request_time=NOW, response_time=NOW, policy=policy)
    request.method = b"POST"
    assert targets_to_invalidate(request, 200, answered)[0] == target


@pytest.mark.parametrize("outcome", [Reuse, ReuseWhileValidating, "stale", "request", "vary-miss"])
def test_the_generators_reach_every_outcome(outcome):
    """A property over nothing but refusals would prove nothing."""

    def is_reached(case):
        answer, asked, then, elapsed = case
        stored = store(answer, asked)
        if stored is None:
            return False
        decision = decide(then.request(), [stored], NOW + elapsed, policy=TRANSPARENT)
        return outcome in {type(decision), getattr(decision, "reason", None)}

    find(
        st.tuples(answers, askers, asks, seconds),
        is_reached,
        settings=settings(
            max_examples=5000, derandomize=True, database=None, phases=[Phase.generate]
        ),
    )
