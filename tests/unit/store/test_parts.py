from edgeproxy.cache.partial import Partial
from edgeproxy.store.parts import VARIANTS_MAX, PartStore
from tests.support.stored import stored

LARGE = 1 << 20


def partial(key: bytes = b"k", octets: bytes = b"part", language: str = "") -> Partial:
    fields = [(b"vary", b"Accept-Language")] if language else []
    line = (b"accept-language", language.encode())
    response = stored(key, b"", fields=fields, request_fields=[line] if language else [])
    return Partial(response, 1000, ((0, octets),))


def test_what_was_put_is_there_and_weighs() -> None:
    store, one = PartStore(LARGE), partial()
    assert (store.candidates(b"k"), store.weight) == ((), 0)
    store.put(one)
    assert (list(store.candidates(b"k")), store.weight) == ([one], one.weight)
    store.put(two := partial(octets=b"another"))
    assert (list(store.candidates(b"k")), store.weight) == ([two], two.weight)


def test_variants_are_few_and_each_has_its_place() -> None:
    store = PartStore(LARGE)
    kept = [partial(language=f"l{number}") for number in range(VARIANTS_MAX + 1)]
    for each in kept:
        store.put(each)
    assert list(store.candidates(b"k")) == kept[1:]
    store.drop(kept[2])
    store.drop(kept[2])
    assert list(store.candidates(b"k")) == [kept[1], *kept[3:]]
    store.forget(b"k")
    store.forget(b"k")
    assert (list(store.candidates(b"k")), store.weight) == ([], 0)


def test_dropping_the_last_variant_forgets_the_key() -> None:
    store = PartStore(LARGE)
    store.put(one := partial())
    store.drop(one)
    assert store.weight == 0


def test_the_least_recently_used_goes_first() -> None:
    weight = partial(b"a").weight
    store = PartStore(2 * weight)
    store.put(partial(b"a"))
    store.put(partial(b"b"))
    store.candidates(b"a")
    store.put(partial(b"c"))
    assert [bool(store.candidates(key)) for key in (b"a", b"b", b"c")] == [True, False, True]
    assert store.weight <= 2 * weight


def test_what_does_not_fit_is_not_kept_and_takes_the_older_one_with_it() -> None:
    store = PartStore(partial().weight + 10)
    store.put(partial())
    store.put(partial(octets=bytes(1000)))
    assert (list(store.candidates(b"k")), store.weight) == ([], 0)
    store.put(partial(language="de"))
    store.put(two := partial(language="en"))
    assert list(store.candidates(b"k")) in ([two], [])
