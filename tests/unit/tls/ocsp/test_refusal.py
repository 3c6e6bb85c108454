from edgeproxy.tls.ocsp.refusal import Refusal, Refused


def test_a_refusal_is_a_word_and_perhaps_a_sentence():
    assert str(Refused(Refusal.TRY_LATER)) == "try_later"
    assert str(Refused(Refusal.HTTP_STATUS, "500")) == "http_status: 500"


def test_what_a_peer_is_quoted_with_fits_a_line_of_the_log():
    detail = Refused(Refusal.GARBAGE, "a\r\nb\x1b[31m\u202e" + "x" * 1000).detail
    assert detail.startswith("a??b?[31m\\u202e")
    assert len(detail) == 200
