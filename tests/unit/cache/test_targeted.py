import pytest

from edgeproxy.cache.targeted import ruling_directives
from tests.support.caching import lines


def ruling(**fields):
    directives, is_targeted = ruling_directives(lines(**fields))
    return dict(directives.all), is_targeted


GENERAL = {"cache_control": "max-age=1, no-store"}
ONLY_GENERAL = ({b"max-age": b"1", b"no-store": None}, False)


def test_without_a_targeted_field_the_general_one_counts():
    assert ruling() == ({}, False)
    assert ruling(**GENERAL) == ONLY_GENERAL
    assert ruling(akamai_cache_control="max-age=9", **GENERAL) == ONLY_GENERAL


def test_the_first_valid_field_of_the_list_rules_alone():
    cdn, surrogate = {"cdn_cache_control": "max-age=2"}, {"surrogate_control": "max-age=3"}
    assert ruling(**GENERAL, **surrogate, **cdn) == ({b"max-age": b"2"}, True)
    assert ruling(**GENERAL, **surrogate) == ({b"max-age": b"3"}, True)
    for broken in ("", "max-age =2", "MAX-AGE=2", "max-age=2,"):
        assert ruling(cdn_cache_control=broken, **surrogate, **GENERAL) == (
            {b"max-age": b"3"},
            True,
        )
        assert ruling(cdn_cache_control=broken, **GENERAL) == ONLY_GENERAL


def test_targeted_arguments_are_those_of_directives():
    directives, is_targeted = ruling_directives(
        lines(cdn_cache_control='no-cache="a, b", private=c, x;y=1, z=?0')
    )
    assert is_targeted
    assert directives.names(b"no-cache") == (b"a", b"b")
    assert directives.names(b"private") == (b"c",)
    assert directives.arguments(b"x") == (None,)
    assert directives.arguments(b"z") == (b"",)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("max-age=60", {b"max-age": b"60"}),
        ("MaX-aGe=60, foo", {b"max-age": b"60", b"foo": None}),
        (["foo", "no-store"], {b"foo": None, b"no-store": None}),
        ("no-store-remote", {b"no-store": None}),
        ("max-age=60+30", {b"max-age": b"60", b"stale-while-revalidate": b"30"}),
        ("max-age=60+", {b"max-age": b"60+"}),
        ("max-age", {b"max-age": None}),
        ("max-age =60", {b"max-age": b""}),
        ('max-age=60";other', {b"max-age": b""}),
        ('content="ESI/1.0;x, y", max-age=5', {b"content": b"ESI/1.0;x, y", b"max-age": b"5"}),
        ("max-age=60;edgeproxy", {b"max-age": b"60"}),
        ("max-age=60;other; EdgeProxy ", {b"max-age": b"60"}),
        ("max-age=60;edgeproxy, max-age=5, foo", {b"max-age": b"60", b"foo": None}),
        ("max-age=60;other, max-age=5", {b"max-age": b"5"}),
    ],
)
def test_what_surrogate_control_says_to_us(value, expected):
    assert ruling(surrogate_control=value, **GENERAL) == (expected, True)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "foo",
        'content="ESI/1.0"',
        "max-age=60;other",
        "no-store;other, foo",
        "max-age=60;",
        ";edgeproxy",
        '"max-age=60',
    ],
)
def test_surrogate_control_that_says_nothing_of_caching_to_us(value):
    assert ruling(surrogate_control=value, **GENERAL) == ONLY_GENERAL
