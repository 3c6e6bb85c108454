import pytest

from edgeproxy.wire.h2 import priority
from edgeproxy.wire.h2.priority import Priority, parse_priority

DEFAULT = Priority(3, incremental=False)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"", DEFAULT),
        (b"u=0", Priority(0)),
        (b"u=7", Priority(7)),
        (b"i", Priority(3, incremental=True)),
        (b"u=1, i", Priority(1, incremental=True)),
        (b"u=1,i", Priority(1, incremental=True)),
        (b"i=?1,\tu=2", Priority(2, incremental=True)),
        (b"i=?0", DEFAULT),
        (b"  u=5  ", Priority(5)),
        (b"u=1;x=2;y, i;z", Priority(1, incremental=True)),
        (b"u=007", Priority(7)),
        (b"u=-0", Priority(0)),
        (b"u=1, u=5", Priority(5)),
        (b"i, i=?0", DEFAULT),
    ],
)
def test_reads_urgency_and_incremental(value, expected):
    assert parse_priority(value) == expected
    assert parse_priority(value) == expected  # from the memo


@pytest.mark.parametrize(
    "value",
    [
        b"u=8",
        b"u=-1",
        b"u=1.0",
        b'u="1"',
        b"u",
        b"u=?1",
        b"u=(1 2)",
        b"i=1",
        b"i=yes",
        b"u=1, u=x",
        b"u=999999999999999",
    ],
)
def test_ignores_members_of_wrong_type_or_out_of_range(value):
    assert parse_priority(value) == DEFAULT


@pytest.mark.parametrize(
    "member",
    [
        b"a",
        b"*a.b-c_d=1",
        b"a=-12.345",
        b'a="quoted \\" and \\\\ , u=7"',
        b"a=token/with:signs",
        b"a=:aGVsbG8=:",
        b"a=?0",
        b"a=@1659578233",
        b'a=%"f%c3%bc"',
        b"a=()",
        b"a=( 1 )",
        b'a=(1;q "two" three;x=?1);y',
    ],
)
def test_skips_unknown_members_of_every_type(member):
    assert parse_priority(member + b", u=1, i") == Priority(1, incremental=True)
    assert parse_priority(b"u=1, i," + member) == Priority(1, incremental=True)


@pytest.mark.parametrize(
    "value",
    [
        b"u=1,",
        b",u=1",
        b"u=1,,i",
        b"u=1 i",
        b"u =1",
        b"u= 1",
        b"u=",
        b"u=1;",
        b"U=1",
        b"u=1, I",
        b"u=1\t",
        b"u=1, a=1.2345",
        b"u=1, a=1234567890123456",
        b'u=1, a="open',
        b"u=1, a=(1",
        b"u=1, a=(1,2)",
        b"u=1, a=:*:",
        b"u=1, a=\xff",
        b"u=1\r\n",
        b"\x0bu=1",
    ],
)
def test_a_value_that_does_not_parse_counts_as_empty(value):
    assert parse_priority(value) == DEFAULT


def test_long_values_are_not_read_and_take_no_time():
    assert parse_priority(b"u=1, " + b"a, " * 100 + b"b") == DEFAULT
    assert parse_priority(b"u=1, a=(" + b" " * 240) == DEFAULT


def test_the_memo_is_bounded():
    for number in range(priority._KNOWN_MAX + 10):
        assert parse_priority(b"u=2, n=%d" % number) == Priority(2)
        assert len(priority._known) <= priority._KNOWN_MAX
