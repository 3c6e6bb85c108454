import pylsqpack
import pytest

from edgeproxy.errors import ConnectionFault
from edgeproxy.wire.h3 import codes
from edgeproxy.wire.h3.instructions import DecoderStream, check_encoder_stream


def test_an_encoder_may_say_that_it_has_no_table():
    check_encoder_stream(b"")
    check_encoder_stream(b"\x20\x20")


@pytest.mark.parametrize(
    "data",
    [
        b"\x21",  # capacity 1
        b"\x3f\x00",
        b"\xc1\x01a",  # insert with name reference, static
        b"\x81\x01a",  # dynamic
        b"\x41a\x01b",  # insert with literal name
        b"\x00",  # duplicate
        b"\x20\x20\x00",
    ],
)
def test_an_encoder_has_no_table_to_use(data: bytes):
    with pytest.raises(ConnectionFault) as caught:
        check_encoder_stream(data)
    assert caught.value.code == codes.QPACK_ENCODER_STREAM_ERROR


def test_what_another_encoder_inserts_is_refused():
    encoder = pylsqpack.Encoder()
    encoder.apply_settings(4096, 16)
    inserted = b"".join(encoder.encode(4 * n, [(b"x-name", b"value")])[0] for n in range(3))
    with pytest.raises(ConnectionFault):
        check_encoder_stream(inserted)


def cancellations(*pieces: bytes) -> int:
    counted: list[None] = []
    stream = DecoderStream(lambda: counted.append(None))
    for piece in pieces:
        stream.receive(piece)
    return len(counted)


def test_cancellations_are_counted():
    cancelled = b"".join(
        pylsqpack.Decoder(4096, 16).cancel_stream(n) for n in (0, 4, 63, 64, 2**40)
    )
    assert cancellations(cancelled) == 5
    assert cancellations(*[cancelled[n : n + 1] for n in range(len(cancelled))]) == 5


@pytest.mark.parametrize(
    "data",
    [
        b"\x80",  # section acknowledgement of stream 0
        b"\xff\x80\x01",
        b"\x00",  # increment of 0
        b"\x01",  # increment of what was never inserted
        b"\x44\x01",
        b"\x7f" + b"\x80" * 9,
    ],
)
def test_a_decoder_has_nothing_to_acknowledge(data: bytes):
    with pytest.raises(ConnectionFault) as caught:
        cancellations(data)
    assert caught.value.code == codes.QPACK_DECODER_STREAM_ERROR
