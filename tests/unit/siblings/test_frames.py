"""Tests for edgeproxy/siblings/frames.py."""

import pytest

from edgeproxy.siblings.frames import (
    DATA_BYTES_MAX,
    PREFIX,
    Data,
    End,
    Failed,
    Forgotten,
    Head,
    Here,
    Hint,
    Kind,
    Refused,
    ToldError,
    decode,
    encode,
    measure,
)

FIELDS = ((b"etag", b'"\xe9"'), (b"set-cookie", b"a=b"), (b"set-cookie", b"c=d"))


@pytest.mark.parametrize(
    "frame",
    [
        Here(),
        Hint(103, FIELDS),
        Head(
            status=200,
            fields=FIELDS,
            content_length=None,
            is_delimited=True,
            request_time=0.1,
            response_time=1e9 + 1 / 3,
        ),
        Data(b"\0" * DATA_BYTES_MAX),
        End(()),
        End(FIELDS),
        Failed("connection_timeout", 504, "why"),
        Refused("busy"),
        Forgotten(),
    ],
)
def test_what_is_encoded_is_decoded_the_same(frame) -> None:
    octets = encode(frame)
    kind, size = measure(octets[: PREFIX.size])
    assert size == len(octets) - PREFIX.size
    assert decode(kind, octets[PREFIX.size :]) == frame


def test_a_failure_becomes_an_error_that_has_been_counted() -> None:
    error = Failed("connection_timeout", 504, "why").error()
    assert isinstance(error, ToldError)
    assert (error.word, error.status, error.detail) == ("connection_timeout", 504, "why")


@pytest.mark.parametrize(
    ("kind", "size"), [(0, 0), (99, 0), (Kind.DATA, DATA_BYTES_MAX + 1), (Kind.HEAD, 2**31)]
)
def test_what_is_no_frame_of_ours_is_an_error(kind: int, size: int) -> None:
    with pytest.raises(ValueError, match=r"frame|Kind"):
        measure(PREFIX.pack(kind, size))
