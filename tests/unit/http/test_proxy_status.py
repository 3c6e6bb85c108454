from edgeproxy.http.proxy_status import STATUS_OF, member


def test_examples():
    assert member("fra1", error="dns_error") == b"fra1; error=dns_error"
    assert member(
        "fra1",
        error="http_protocol_error",
        next_hop="origin.example:443",
        received_status=200,
        details='line "x"\r\n',
    ) == (
        b"fra1; error=http_protocol_error; next-hop=origin.example:443; received-status=200; "
        b'details="line \\"x\\"??"'
    )


def test_every_word_has_a_final_status():
    assert STATUS_OF["connection_timeout"] == 504
    assert STATUS_OF["tls_certificate_error"] == 502
    assert all(400 <= status <= 599 for status in STATUS_OF.values())
    assert all(member("e", error=word) == b"e; error=" + word.encode() for word in STATUS_OF)
