from aioquic.h3.connection import ErrorCode

from edgeproxy.wire.h3 import codes


def test_codes_are_those_of_the_rfc():
    ours = codes.NAMES
    theirs = {int(code): code.name for code in ErrorCode if code != ErrorCode.H3_DATAGRAM_ERROR}
    assert ours == theirs


def test_names():
    assert codes.name_of(codes.NO_ERROR) == "H3_NO_ERROR"
    assert codes.name_of(0x1234) == "0x1234"
