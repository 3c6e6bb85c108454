import pylsqpack
import pytest

from edgeproxy.wire.h3.static_table import INDEX_OF_FIELD, INDEX_OF_NAME, STATIC


def test_there_are_99_entries():
    assert len(STATIC) == len(INDEX_OF_FIELD) == 99


@pytest.mark.parametrize("index", range(99))
def test_an_index_is_what_another_implementation_reads(index: int):
    octets = bytes((0xC0 | index,)) if index < 63 else bytes((0xFF, index - 63))
    _, fields = pylsqpack.Decoder(0, 0).feed_header(0, b"\0\0" + octets)
    assert fields == [STATIC[index]]


def test_a_name_stands_at_its_first_line():
    for name, index in INDEX_OF_NAME.items():
        assert [field[0] for field in STATIC].index(name) == index
