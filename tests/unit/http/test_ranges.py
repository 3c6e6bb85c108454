import pytest

from edgeproxy.http.ranges import ByteRange, Unsatisfiable, parse_content_range, resolve_range


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes=0-99", ByteRange(0, 99)),
        (b"bytes=0-0", ByteRange(0, 0)),
        (b"BYTES=5-", ByteRange(5, 999)),
        (b"bytes=990-2000", ByteRange(990, 999)),
        (b"bytes=-1", ByteRange(999, 999)),
        (b"bytes=-5000", ByteRange(0, 999)),
        (b"bytes= 1-2 ", ByteRange(1, 2)),
        (b"bytes=000-0001", ByteRange(0, 1)),
        (b"bytes=0-" + b"9" * 500, ByteRange(0, 999)),
        (b"bytes=1000-", Unsatisfiable(1000)),
        (b"bytes=" + b"9" * 500 + b"-", Unsatisfiable(1000)),
        (b"bytes=-0", Unsatisfiable(1000)),
    ],
)
def test_one_range(value, expected):
    assert resolve_range(value, 1000) == expected


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"bytes",
        b"bytes=",
        b"bytes=-",
        b"bytes=a-b",
        b"bytes=5-4",
        b"bytes=+1-2",
        b"bytes=1_0-20",
        b"bytes=0x1-2",
        b"bytes =0-1",
        b"items=0-1",
        b"bytes=0-1,3-4",
        b"bytes=0-1,",
        b"bytes=0-,0-,0-,0-",
        b"bytes=0--1",
        b"bytes=\xb2-3",
    ],
)
def test_what_is_ignored(value):
    assert resolve_range(value, 1000) is None


def test_nothing_can_be_cut_from_nothing():
    assert resolve_range(b"bytes=0-", 0) == Unsatisfiable(0)
    assert resolve_range(b"bytes=-1", 0) is None


def test_content_range():
    assert ByteRange(0, 99).content_range(1000) == b"bytes 0-99/1000"
    assert len(ByteRange(0, 99)) == 100
    assert Unsatisfiable(1000).content_range() == b"bytes */1000"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"bytes 0-0/1", (ByteRange(0, 0), 1)),
        (b"BYTES 2-4/10", (ByteRange(2, 4), 10)),
        *(
            (value, None)
            for value in [
                b"",
                b"bytes 0-0/0",
                b"bytes 0-10/10",
                b"bytes 4-2/10",
                b"bytes 0-0/*",
                b"bytes */10",
                b"bytes=0-0/1",
                b"bytes  0-0/1",
                b"bytes 0-0/1 ",
                b"bytes +0-0/1",
                b"bytes 0-0/1_0",
                b"lines 0-0/1",
                b"bytes 0-1/" + b"9" * 30,
            ]
        ),
    ],
)
def test_what_a_206_says_it_holds(value, expected):
    assert parse_content_range(value) == expected
