import pytest

from edgeproxy.wire.h2.prepared import PreparedResponse
from tests.support.h2_peer import parse


def wire(prepared: PreparedResponse, stream_id: int) -> bytes:
    """Put a prepared response together, as its docstring says."""
    ident = stream_id.to_bytes(4, "big")
    parts = [prepared.head, ident, prepared.block]
    if prepared.size:
        parts += [ident, prepared.first]
    for head, piece in prepared.rest:
        parts += [head, ident, piece]
    return b"".join(parts)


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 32768, 32769, 100_000])
@pytest.mark.parametrize("view", [False, True])
def test_it_is_the_frames_of_a_response(size: int, view: bool):
    body = bytes(i % 251 for i in range(size))
    prepared = PreparedResponse(b"\x88block", memoryview(body) if view else body)
    assert prepared.size == size
    data = wire(prepared, 7)
    assert prepared.wire_bytes == len(data)
    headers, *rest = found = parse(data)
    assert headers.data == b"\x88block"
    assert b"".join(frame.data for frame in rest) == body
    assert all(0 < len(frame.data) <= 16384 for frame in rest)
    assert {frame.stream_id for frame in found} == {7}
    assert [("END_STREAM" in frame.flags) for frame in found] == [False] * len(rest) + [True]
    assert "END_HEADERS" in headers.flags


def test_the_body_is_not_copied():
    body = b"x" * 16384
    assert PreparedResponse(b"\x88", body).first is body
    large = PreparedResponse(b"\x88", body * 3)
    assert all(isinstance(piece, memoryview) for _, piece in large.rest)


def test_a_field_block_fits_one_frame():
    assert PreparedResponse(bytes(16384), b"").wire_bytes == 16384 + 9
    with pytest.raises(ValueError, match="field block"):
        PreparedResponse(bytes(16385), b"")
