from edgeproxy.cache.freshness import Freshness
from edgeproxy.cache.shared import Pool, shared_fields, shared_freshness


def fresh_bytes(text: str) -> bytes:
    """Octets that no other object of this test is."""
    return text.encode()


def test_equal_lines_are_one_object_and_equal_names_too() -> None:
    one, two = (
        shared_fields([(fresh_bytes("x-a"), fresh_bytes("same")), (fresh_bytes("x-a"), value)])
        for value in (b"1", b"2")
    )
    assert one == ((b"x-a", b"same"), (b"x-a", b"1"))
    assert one[0] is two[0]
    assert one[1][0] is two[1][0]


def test_long_lines_are_not_remembered() -> None:
    one, two = (shared_fields([(b"x", fresh_bytes("y" * 300))]) for _ in range(2))
    assert one == two
    assert one[0] is not two[0]


def test_equal_lifetimes_are_one_object() -> None:
    assert shared_freshness(Freshness(7, "rule")) is shared_freshness(Freshness(7, "rule"))


def test_what_is_seen_again_stays_and_single_values_pass() -> None:
    pool: Pool[bytes] = Pool(4)
    again, single = fresh_bytes("again and again"), fresh_bytes("just once")
    assert pool.share(again) is again
    assert pool.share(single) is single
    for number in range(20):
        pool.share(fresh_bytes(f"number {number}"))
        assert pool.share(fresh_bytes("again and again")) is again
    assert pool.share(other := fresh_bytes("just once")) is other
