import base64
from urllib.parse import unquote

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp

from edgeproxy.tls.ocsp.certificate import certificate_id
from edgeproxy.tls.ocsp.request import ALGORITHMS, encode_request, http_requests
from tests.support.ca import LocalCa


def test_a_request_is_about_one_certificate_and_has_no_nonce(tmp_path):
    ca = LocalCa(tmp_path)
    leaf = ca.issue("a.test").certificate
    request = ocsp.load_der_ocsp_request(encode_request(leaf, ca.certificate, hashes.SHA256()))
    asked = (request.issuer_name_hash, request.issuer_key_hash, request.serial_number)
    assert asked == certificate_id(leaf, ca.certificate, hashes.SHA256())
    assert len(request.extensions) == 0


def test_the_hash_that_every_responder_knows_comes_first():
    assert [algorithm.name for algorithm in ALGORITHMS] == ["sha1", "sha256"]


@pytest.mark.parametrize("url", ["http://ocsp.test", "http://ocsp.test/"])
def test_a_short_request_is_a_get_and_then_a_post(url):
    get, post = http_requests(url, b"\xff\xef\xfe?")
    assert (get.method, get.url, get.content) == (
        "GET",
        "http://ocsp.test/%2F%2B%2F%2BPw%3D%3D",
        b"",
    )
    assert base64.b64decode(unquote(get.url.rpartition("/")[2])) == b"\xff\xef\xfe?"
    assert (post.method, post.url, post.content) == ("POST", url, b"\xff\xef\xfe?")


def test_a_get_has_a_url_of_at_most_255_octets():
    url = "http://ocsp.test/"
    most = (255 - len(url)) // 4 * 3
    longest = b"\x00" * (most - most % 3)
    assert [each.method for each in http_requests(url, longest)] == ["GET", "POST"]
    assert len(http_requests(url, longest)[0].url) <= 255
    assert [each.method for each in http_requests(url, longest + bytes(3))] == ["POST"]


def test_a_url_with_a_query_cannot_be_appended_to():
    assert [each.method for each in http_requests("http://ocsp.test/?a=b", b"x")] == ["POST"]
