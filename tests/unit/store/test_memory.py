import random

import pytest

from edgeproxy.cache.stored import DerivedBody
from edgeproxy.store.memory import VARIANTS_MAX, MemoryStore
from tests.support.stored import NOW, stored

LARGE = 1 << 20


def variant(language: str, body: bytes = b"body", key: bytes = b"k", at: float = NOW) -> object:
    line = (b"accept-language", language.encode())
    return stored(
        key, body, fields=[(b"vary", b"Accept-Language")], request_fields=[line], response_time=at
    )


def test_nothing_is_stored_at_first() -> None:
    store = MemoryStore(LARGE, LARGE)
    assert store.candidates(b"k", NOW) == ()
    assert (store.bytes, store.objects, store.evictions) == (0, 0, 0)


def test_what_was_put_is_a_candidate_and_weighs() -> None:
    store = MemoryStore(LARGE, LARGE)
    one = stored()
    assert store.put(one)
    assert list(store.candidates(b"k", NOW)) == [one]
    assert (store.bytes, store.objects) == (one.weight, 1)


def test_equal_selecting_values_replace_and_others_stand_beside() -> None:
    store = MemoryStore(LARGE, LARGE)
    german, english, newer = variant("de"), variant("en"), variant("de", b"newer")
    for each in (german, english, newer):
        store.put(each)
    assert list(store.candidates(b"k", NOW)) == [english, newer]
    assert store.bytes == english.weight + newer.weight


def test_the_least_recently_used_key_goes_first() -> None:
    weight = stored().weight
    store = MemoryStore(3 * weight, weight)
    for key in (b"a", b"b", b"c"):
        store.put(stored(key))
    store.candidates(b"a", NOW + 2)
    store.put(stored(b"d"))
    assert [bool(store.candidates(key, NOW + 2)) for key in (b"a", b"b", b"c", b"d")] == [
        True,
        False,
        True,
        True,
    ]
    assert (store.objects, store.evictions, store.bytes) == (3, 1, 3 * weight)


def test_recency_moves_at_most_once_a_second() -> None:
    weight = stored().weight
    store = MemoryStore(2 * weight, weight)
    store.put(stored(b"a"))
    store.put(stored(b"b"))
    store.candidates(b"a", NOW + 0.5)
    store.put(stored(b"c"))
    assert not store.candidates(b"a", NOW)


def test_what_is_too_large_is_not_kept_and_takes_the_older_one_along() -> None:
    store = MemoryStore(LARGE, 4096)
    store.put(stored())
    assert not store.put(stored(body=b"." * 4096))
    assert (store.objects, store.bytes) == (0, 0)


def test_no_object_may_be_larger_than_the_store() -> None:
    store = MemoryStore(4096, LARGE)
    assert not store.put(stored(body=b"." * 8192))
    assert store.object_bytes_max == 4096


def test_variants_are_bounded_and_the_oldest_goes() -> None:
    store = MemoryStore(LARGE, LARGE)
    for number in range(VARIANTS_MAX + 3):
        store.put(variant(f"l{number}"))
    kept = store.candidates(b"k", NOW)
    assert [each.vary[0][1] for each in kept][:1] == [b"l3"]
    assert (store.objects, store.evictions) == (VARIANTS_MAX, 3)


def test_variants_of_one_key_do_not_exceed_the_whole_store() -> None:
    weight = variant("de").weight
    store = MemoryStore(int(weight * 2.5), weight)
    for language in ("de", "en", "fr"):
        store.put(variant(language))
    assert [each.vary[0][1] for each in store.candidates(b"k", NOW)] == [b"en", b"fr"]
    assert store.bytes <= weight * 2.5


def test_replace_takes_the_place_of_what_is_still_there() -> None:
    store = MemoryStore(LARGE, LARGE)
    old, other, new = variant("de"), variant("en"), variant("de", b"fresh")
    store.put(old)
    store.put(other)
    assert store.replace(old, new)
    assert list(store.candidates(b"k", NOW)) == [other, new]


def test_replace_does_not_bring_back_what_is_gone() -> None:
    store = MemoryStore(LARGE, LARGE)
    old = stored()
    store.put(old)
    store.forget(b"k")
    assert not store.replace(old, stored())
    assert store.objects == 0


def test_one_response_is_dropped_and_the_others_stay() -> None:
    store = MemoryStore(LARGE, LARGE)
    german, english = variant("de"), variant("en")
    store.put(german)
    store.put(english)
    assert store.drop(german)
    assert not store.drop(german)
    assert list(store.candidates(b"k", NOW)) == [english]
    assert store.drop(english)
    assert (store.bytes, store.objects, store.evictions) == (0, 0, 0)


def test_forgetting_says_how_many() -> None:
    store = MemoryStore(LARGE, LARGE)
    store.put(variant("de"))
    store.put(variant("en"))
    assert store.forget(b"k") == 2
    assert store.forget(b"k") == 0
    assert (store.bytes, store.evictions) == (0, 0)


def test_candidates_may_be_read_on_while_the_store_changes() -> None:
    store = MemoryStore(LARGE, LARGE)
    old = stored()
    store.put(old)
    candidates = store.candidates(b"k", NOW)
    store.put(stored())
    store.forget(b"k")
    assert list(candidates) == [old]


@pytest.mark.parametrize("seed", range(5))
def test_it_never_holds_more_than_its_bound_and_knows_what_it_holds(seed: int) -> None:
    chance = random.Random(seed)
    store = MemoryStore(20_000, 8_000)
    for step in range(500):
        key = b"%d" % chance.randrange(12)
        if chance.random() < 0.1:
            store.forget(key)
        elif chance.random() < 0.3:
            store.candidates(key, NOW + step)
        else:
            body = b"." * chance.randrange(6_000)
            store.put(variant(chance.choice(["de", "en"]), body, key, NOW + step))
        keys = list(store._index)
        held = [each for key in keys for each in store.candidates(key, NOW)]
        assert store.bytes == sum(each.weight for each in held) <= 20_000
        assert store.objects == len(held)
        assert set(keys) == set(store._recency)


def test_a_coding_joins_what_is_kept_of_these_bytes() -> None:
    store = MemoryStore(LARGE, LARGE)
    one = stored(body=b"text" * 100)
    store.put(one)
    made = DerivedBody(b"coded", is_final=False)
    kept = store.attach(one, b"br", made)
    assert kept is store.latest(one.body_id) is store.candidates(b"k", NOW)[0]
    assert kept.derived == {b"br": made}
    assert store.bytes == one.weight + len(made.body)
    store.attach(one, b"gzip", None)
    assert store.latest(one.body_id).derived == {b"br": made, b"gzip": None}


def test_a_coding_of_bytes_that_are_gone_is_not_kept() -> None:
    store = MemoryStore(LARGE, LARGE)
    assert store.attach(stored(), b"br", None) is None
    store.put(stored(body=b"newer"))
    assert store.attach(stored(), b"br", None) is None
    assert store.latest(stored().body_id) is None


def test_a_coding_without_room_is_not_to_be_had() -> None:
    one = stored()
    store = MemoryStore(one.weight + 4, LARGE)
    store.put(one)
    kept = store.attach(one, b"br", DerivedBody(b"12345", is_final=True))
    assert kept.derived == {b"br": None}


def test_a_response_that_got_a_coding_meanwhile_is_still_the_one_to_replace_or_drop() -> None:
    store = MemoryStore(LARGE, LARGE)
    one = stored()
    store.put(one)
    store.attach(one, b"br", made := DerivedBody(b"x", is_final=True))
    fresher = stored(lifetime=600)
    assert store.replace(one, fresher)
    kept = store.latest(one.body_id)
    assert (kept.derived, kept.freshness.lifetime) == ({b"br": made}, 600)
    other = stored(body=b"other")
    assert store.replace(kept, other)
    assert store.latest(other.body_id) is other
    store.attach(other, b"br", made)
    assert store.drop(other)
    assert store.objects == 0


def test_a_smaller_store_lets_the_least_recently_used_go_and_a_larger_one_takes_more() -> None:
    weight = stored().weight
    store = MemoryStore(4 * weight, weight)
    for key in (b"a", b"b", b"c", b"d"):
        store.put(stored(key))
    store.candidates(b"a", NOW + 2)
    store.resize(2 * weight, weight)
    assert (store.objects, store.bytes, store.bytes_max) == (2, 2 * weight, 2 * weight)
    assert store.candidates(b"a", NOW + 2)
    assert store.candidates(b"d", NOW + 2)
    store.put(stored(b"e"))
    assert store.bytes == 2 * weight
    store.resize(3 * weight, weight - 1)
    assert not store.put(stored(b"f"))
    assert (store.objects, store.object_bytes_max) == (2, weight - 1)


def test_without_a_tier_below_there_is_one_way_to_keep_something() -> None:
    store = MemoryStore(2 * stored().weight, stored().weight)
    assert store.put_above(one := stored())
    assert list(store.candidates(b"k", NOW)) == [one]
