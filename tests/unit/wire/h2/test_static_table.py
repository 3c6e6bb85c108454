import pytest

from edgeproxy.wire.h2 import static_table


@pytest.mark.parametrize(
    ("index", "field"),
    [
        (1, (b":authority", b"")),
        (2, (b":method", b"GET")),
        (4, (b":path", b"/")),
        (7, (b":scheme", b"https")),
        (8, (b":status", b"200")),
        (14, (b":status", b"500")),
        (16, (b"accept-encoding", b"gzip, deflate")),
        (32, (b"cookie", b"")),
        (55, (b"set-cookie", b"")),
        (61, (b"www-authenticate", b"")),
    ],
)
def test_lines_stand_where_the_rfc_has_them(index, field):
    assert static_table.STATIC[index] == field
    assert static_table.INDEX_OF_FIELD[field] == index


def test_has_sixty_one_lines_in_the_order_of_the_alphabet():
    assert static_table.LAST_INDEX == 61
    regular = [name for name, _ in static_table.STATIC[15:]]
    # the one exception of the RFC's: `accept` stands behind its longer relatives
    regular.remove(b"accept")
    assert regular == sorted(regular)


def test_the_first_line_stands_for_a_shared_name():
    assert static_table.INDEX_OF_NAME[b":method"] == 2
    assert static_table.INDEX_OF_NAME[b":status"] == 8
    assert static_table.INDEX_OF_NAME[b"via"] == 60
    assert len(static_table.INDEX_OF_NAME) == 52


def test_the_placeholder_is_in_no_index():
    assert b"" not in static_table.INDEX_OF_NAME
    assert (b"", b"") not in static_table.INDEX_OF_FIELD
