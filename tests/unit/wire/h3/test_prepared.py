import pytest

from edgeproxy.wire.h3.prepared import PreparedResponse
from edgeproxy.wire.h3.qpack import encode_status
from tests.support.h3_peer import parse


@pytest.mark.parametrize("size", [1, 63, 64, 16384, 100_000])
def test_content_is_one_frame_behind_the_fields(size: int):
    section, body = encode_status(200), bytes(size)
    prepared = PreparedResponse(section, body)
    assert parse(prepared.head + body) == [(1, section), (0, body)]
    assert prepared.size == size
    assert prepared.wire_bytes == len(prepared.head) + size
    assert prepared.body is body


def test_without_content_there_is_one_frame():
    prepared = PreparedResponse(encode_status(304), b"")
    assert parse(prepared.head) == [(1, encode_status(304))]
    assert (prepared.size, prepared.wire_bytes) == (0, len(prepared.head))


def test_fields_that_do_not_fit_are_not_prepared():
    with pytest.raises(ValueError, match="field section"):
        PreparedResponse(bytes(16384), b"x")
