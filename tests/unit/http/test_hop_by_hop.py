from edgeproxy.http.hop_by_hop import HOP_BY_HOP, connection_options, end_to_end


def test_the_fixed_set_is_dropped_and_the_order_kept():
    fields = [(b"b", b"1"), *((name, b"x") for name in HOP_BY_HOP), (b"a", b"2"), (b"b", b"3")]
    assert end_to_end(fields) == [(b"b", b"1"), (b"a", b"2"), (b"b", b"3")]


def test_what_connection_lists_is_dropped_too():
    fields = [
        (b"connection", b"close, A ,"),
        (b"a", b"1"),
        (b"connection", b"\tb"),
        (b"b", b"2"),
        (b"c", b"3"),
    ]
    assert end_to_end(fields) == [(b"c", b"3")]
    assert {b"close", b"a", b"b"} <= connection_options(fields)


def test_trailer_travels_on():
    assert end_to_end(iter([(b"trailer", b"x")])) == [(b"trailer", b"x")]
