import pytest

from edgeproxy.cache.head import learned_from_head
from edgeproxy.cache.policy import TRANSPARENT
from edgeproxy.http.messages import first
from tests.support.caching import NOW, date, get, keep, lines

MODIFIED = date(-1000)


def learned(*candidates, ask=None, length=None, sent=(), **fields):
    request = ask or get(method="HEAD")
    return list(
        learned_from_head(
            candidates,
            request,
            lines(**fields),
            content_length=length,
            sent_fields=[*request.fields, *sent],
            request_time=NOW + 8,
            response_time=NOW + 9,
            policy=TRANSPARENT,
        )
    )


def test_what_agrees_is_updated_like_by_a_304():
    old = keep(cache_control="max-age=5", x="1", y="1", etag='"1"', age="3")
    ((was, new),) = learned(old, cache_control="max-age=60", x="2", etag='"1"')
    assert was is old
    assert (first(new.fields, b"x"), first(new.fields, b"y")) == (b"2", b"1")
    assert (new.body, new.freshness.lifetime, new.response_time) == (old.body, 60, NOW + 9)
    assert new.current_age(NOW + 9) == 1
    assert new.fresh_until == NOW + 9 + 59


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({"etag": '"1"'}, None),
        ({"etag": '"1"', "last_modified": MODIFIED}, 4),
        ({"last_modified": MODIFIED}, None),
        ({}, 4),
    ],
)
def test_everything_that_it_brings_must_agree(fields, length):
    old = keep(cache_control="max-age=1", etag='"1"', last_modified=MODIFIED)
    ((_, new),) = learned(old, length=length, **fields)
    assert not new.freshness.always_validate
    assert new.fresh_until > old.fresh_until


@pytest.mark.parametrize(
    ("fields", "length"),
    [
        ({"etag": '"2"'}, 4),
        ({"etag": 'W/"1"'}, 4),
        ({"etag": '"1"', "last_modified": date(-9)}, 4),
        ({"etag": '"1"'}, 5),
        ({"etag": '"1"', "cache_control": "no-store"}, 4),
        ({"etag": '"1"', "cache_control": "private"}, 4),
        ({}, 5),
        # By the letter this would agree; but nothing in it proves that it speaks of these bytes.
        ({}, None),
    ],
)
def test_what_does_not_is_outdated_and_kept_for_validation(fields, length):
    old = keep(
        cache_control="max-age=60, stale-if-error=60", etag='"1"', last_modified=MODIFIED, x="1"
    )
    ((_, new),) = learned(old, length=length, **{"x": "2", **fields})
    assert new.freshness.always_validate
    assert (new.fields, new.etag, new.body) == (old.fields, old.etag, old.body)
    assert new.freshness.stale_if_error == 0


def test_where_neither_has_anything_to_compare_they_agree():
    ((_, new),) = learned(keep(cache_control="max-age=1", x="1"), cache_control="max-age=60", x="2")
    assert (new.fresh_until, first(new.fields, b"x")) == (NOW + 68, b"2")


def test_validators_that_were_made_here_are_not_the_origins():
    old = keep(cache_control="max-age=1", generates_validators=True)
    ((_, new),) = learned(old, etag=old.etag.decode())
    assert new.freshness.always_validate


def test_another_status_is_outdated():
    ((_, new),) = learned(keep(404, cache_control="max-age=60"), length=4)
    assert new.freshness.always_validate


def test_only_what_might_have_been_chosen_is_touched():
    german = keep(request=get(accept_language="de"), vary="accept-language", max_age="1")
    english = keep(request=get(accept_language="en"), vary="accept-language")
    coded = keep(request=get(accept_language="de"), vary="accept-language", content_encoding="br")
    ask = get(method="HEAD", accept_language="de")
    changed = learned(german, english, coded, ask=ask, length=4, vary="accept-language")
    assert [old for old, _ in changed] == [german]
    # What the next hop was sent counts, not what the client said.
    changed = learned(keep(vary="x"), length=4, vary="x", sent=[(b"x", b"1")])
    assert changed == []


@pytest.mark.parametrize("fields", [{"authorization": "Basic eA=="}, {"cache_control": "no-store"}])
def test_an_answer_that_may_be_the_askers_own_changes_nothing(fields):
    assert learned(keep(), ask=get(method="HEAD", **fields), length=4) == []


def test_what_others_may_have_too_takes_no_fields_from_an_answer_to_one_of_them():
    ours, front = keep(etag='"1"'), get(method="HEAD", cdn_loop="front")
    assert learned(ours, ask=front, etag='"1"') == []
    ((_, outdated),) = learned(ours, ask=front, etag='"2"', x="canary")
    assert (outdated.fields, outdated.freshness.always_validate) == (ours.fields, True)
    hers = keep(request=get(cdn_loop="front"), etag='"1"')
    assert [was for was, _ in learned(hers, ask=front, etag='"1"')] == [hers]
