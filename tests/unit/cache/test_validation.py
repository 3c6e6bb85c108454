from dataclasses import replace
from math import inf

import pytest

from edgeproxy.cache.codings import with_derived
from edgeproxy.cache.policy import TRANSPARENT, CachePolicy
from edgeproxy.cache.stored import DerivedBody, LargeBody
from edgeproxy.cache.validation import (
    carry_over,
    conditional_fields,
    confirmed_besides,
    freshen,
    select_for_304,
)
from edgeproxy.http.messages import first
from tests.support.caching import NOW, date, get, keep, lines

LATER = NOW + 100
MODIFIED = date(-1000)


def test_conditions_name_every_tag_and_the_date_of_a_sole_response():
    one = keep(etag='"1"', last_modified=MODIFIED)
    two = keep(etag='W/"2"')
    dated = keep(last_modified=MODIFIED)
    assert conditional_fields([one]) == [
        (b"if-none-match", b'"1"'),
        (b"if-modified-since", MODIFIED.encode()),
    ]
    assert conditional_fields([one, two, one]) == [(b"if-none-match", b'"1", W/"2"')]
    assert conditional_fields([dated]) == [(b"if-modified-since", MODIFIED.encode())]
    assert conditional_fields([dated, dated]) == []
    assert conditional_fields([]) == []


def test_generated_validators_stay_at_home():
    generated = keep(generates_validators=True)
    assert conditional_fields([generated]) == []
    confirmation = lines(etag=generated.etag.decode(), last_modified=generated.date.decode())
    assert select_for_304([generated], confirmation) is None
    assert select_for_304([generated], confirmation[1:]) is None


def test_a_304_confirms_by_strong_tag():
    strong, other, weak = keep(etag='"1"'), keep(etag='"2"'), keep(etag='W/"1"')
    assert select_for_304([strong, other], lines(etag='"2"')) is other
    assert select_for_304([strong, other], lines(etag='"3"')) is None
    assert select_for_304([weak], lines(etag='"1"')) is None
    assert select_for_304([keep()], lines(etag='"1"', last_modified=MODIFIED)) is None


def test_a_304_confirms_by_weak_tag_or_date_the_most_recent():
    older = keep(etag='W/"1"', last_modified=MODIFIED, date=date(-10))
    newer = keep(etag='"1"', last_modified=MODIFIED, date=date(-5))
    assert select_for_304([newer, older], lines(etag='W/"1"')) is newer
    assert select_for_304([older, newer], lines(last_modified=MODIFIED)) is newer
    assert select_for_304([older, newer], lines(last_modified=date())) is None


def test_a_304_without_validators_confirms_only_a_sole_response():
    one, two = keep(etag='"1"'), keep(etag='"2"')
    assert select_for_304([one], lines(cache_control="max-age=1")) is one
    assert select_for_304([one, two], []) is None
    assert select_for_304([], []) is None


def renew(stored, *, took=0.0, policy=TRANSPARENT, **fields):
    return freshen(
        stored, lines(**fields), request_time=LATER - took, response_time=LATER, policy=policy
    )


def test_a_304_starts_a_new_life_with_the_same_body():
    old = keep(cache_control="max-age=60", etag='"1"', age="50", x="old", generates_validators=True)
    old.memo = object()
    new = renew(old, took=2.0, cache_control="max-age=90", etag='"1"', date=date(99), x=["a", "b"])
    assert new.body is old.body
    assert (new.key, new.status, new.digest) == (old.key, old.status, old.digest)
    assert new.initial_age == 2
    assert new.fresh_until == LATER + 88
    assert new.date == date(99).encode()
    assert [value for name, value in new.fields if name == b"x"] == [b"a", b"b"]
    assert first(new.fields, b"age") is None
    assert new.memo is None
    assert new.is_last_modified_generated
    assert new.last_modified == old.last_modified


def test_fields_that_the_304_omits_stay():
    old = keep(cache_control="max-age=60", content_type="text/css", etag='"1"')
    new = renew(old)
    assert first(new.fields, b"content-type") == b"text/css"
    assert new.etag == b'"1"'
    assert new.freshness == old.freshness
    assert new.date == date(100).encode()


def test_fields_that_describe_the_body_are_not_updated():
    old = keep(content_length="4", content_encoding="br", etag='"1"')
    new = renew(
        old,
        content_length="0",
        content_encoding="gzip",
        content_range="x",
        content_digest="y",
        content_md5="y",
        connection="z",
        z="1",
        content_type="text/css",
    )
    assert first(new.fields, b"content-length") == b"4"
    assert first(new.fields, b"content-encoding") == b"br"
    assert first(new.fields, b"content-type") == b"text/css"
    for absent in (b"content-range", b"content-digest", b"content-md5", b"connection", b"z"):
        assert first(new.fields, absent) is None


def test_a_304_may_bring_the_validators_that_were_missing():
    old = keep(generates_validators=True)
    new = renew(old, etag='W/"1"', last_modified=MODIFIED)
    assert (new.etag, new.is_etag_generated) == (b'W/"1"', False)
    assert (new.last_modified, new.is_last_modified_generated) == (MODIFIED.encode(), False)


def test_cookies_of_a_304_are_stored_only_by_policy():
    old = keep(etag='"1"')
    assert first(renew(old, set_cookie="a=b").fields, b"set-cookie") is None
    willing = CachePolicy(store_set_cookie=True)
    assert first(renew(old, policy=willing, set_cookie="a=b").fields, b"set-cookie") == b"a=b"


def test_private_fields_of_a_304_are_not_stored():
    old = keep(etag='"1"', a="1")
    assert first(renew(old, cache_control='private="a"').fields, b"a") is None


@pytest.mark.parametrize("directive", ["no-store", "private", "no-cache"])
def test_a_304_can_end_reuse(directive):
    old = keep(cache_control="max-age=60", etag='"1"')
    assert renew(old, cache_control=directive).fresh_until == -inf


def test_a_304_that_varies_otherwise_ends_reuse():
    old = keep(cache_control="max-age=60", vary="Foo", request=get(foo="1"), etag='"1"')
    assert renew(old).fresh_until == LATER + 60
    assert renew(old, vary="foo").vary == old.vary
    assert renew(old, vary="Foo, Bar").fresh_until == -inf
    assert renew(old, vary="*").fresh_until == -inf
    both = keep(cache_control="max-age=60", vary="Foo, Bar", request=get(foo="1"), etag='"1"')
    assert renew(both, vary="bar, foo").fresh_until == LATER + 60


def test_the_rule_counts_again():
    old = keep(etag='"1"')
    new = renew(old, policy=CachePolicy(edge_lifetime=30), cache_control="max-age=1")
    assert (new.freshness.lifetime, new.freshness.source) == (30, "rule")


def test_equal_bytes_keep_their_generated_date_and_share_one_body():
    old = keep(generates_validators=True)
    new = keep(generates_validators=True, body=bytes(bytearray(b"body")), at=LATER)
    kept = carry_over(old, new)
    assert kept.last_modified == old.last_modified != new.last_modified
    assert kept.is_last_modified_generated
    assert kept.etag == old.etag
    assert kept.body is old.body
    assert kept.date == new.date
    assert kept.fresh_until == new.fresh_until


def test_equal_bytes_of_one_coding_are_not_coded_again():
    old = with_derived(keep(), b"br", DerivedBody(b"x", is_final=True))
    assert carry_over(old, keep(at=LATER)).derived == old.derived
    assert carry_over(old, keep(at=LATER, content_encoding="gzip")).derived == {}


def test_equal_bytes_stay_where_they_are_kept_now():
    old = with_derived(keep(generates_validators=True), b"br", DerivedBody(b"x", is_final=True))
    new = replace(keep(generates_validators=True, at=LATER), body=LargeBody(len(old.body)))
    kept = carry_over(old, new)
    assert (kept.body, kept.derived) == (new.body, {})
    assert kept.last_modified == old.last_modified
    assert carry_over(new, keep(at=LATER)).body == old.body


def test_other_bytes_and_real_dates_are_left_alone():
    old = keep(generates_validators=True)
    changed = keep(generates_validators=True, body=b"other", at=LATER)
    assert carry_over(old, changed) is changed
    dated = keep(generates_validators=True, last_modified=MODIFIED, at=LATER)
    assert carry_over(old, dated).last_modified == MODIFIED.encode()
    plain = keep()
    fresh = keep(generates_validators=True, at=LATER)
    assert carry_over(plain, fresh).last_modified == fresh.last_modified


def test_what_the_request_would_have_got_is_confirmed_before_what_is_newer():
    selected, newer = keep(etag='"1"', date=date(-9)), keep(etag='"1"', date=date())
    other = keep(etag='"2"')
    kept = [selected, newer, other]
    assert select_for_304(kept, lines(etag='"1"'), selected=selected) is selected
    assert select_for_304(kept, lines(etag='"2"'), selected=selected) is other


def test_a_strong_tag_updates_everything_that_might_have_been_chosen():
    german, english = get(accept_language="de"), get(accept_language="en")
    chosen = keep(etag='"1"')
    beside = keep(request=german, etag='"1"', vary="accept-language")
    kept = [
        chosen,
        beside,
        keep(request=english, etag='"1"', vary="accept-language"),
        keep(etag='"2"'),
        keep(),
    ]
    assert confirmed_besides(chosen, kept, lines(etag='"1"'), german.fields) == [beside]
    assert confirmed_besides(chosen, kept, lines(etag='W/"1"'), german.fields) == []
    assert confirmed_besides(chosen, kept, lines(last_modified=date()), german.fields) == []


def test_what_selects_unnamed_keeps_selecting():
    front = get(cdn_loop="front")
    old = keep(cache_control="max-age=60", request=front, etag='"1"')
    assert (renew(old).vary, renew(old).fresh_until) == (old.vary, LATER + 60)
    assert renew(old, vary="Foo").fresh_until == -inf


def test_what_others_may_have_too_is_not_updated_by_an_answer_to_one_of_them():
    front = get(cdn_loop="front")
    chosen, ours = keep(request=front, etag='"1"'), keep(etag='"1"')
    assert confirmed_besides(chosen, [chosen, ours], lines(etag='"1"'), front.fields) == []
    assert confirmed_besides(chosen, [chosen, ours], lines(etag='"1"'), get().fields) == [ours]
