import pytest

from edgeproxy.edge.synthetic import no_content, synthetic, upstream_failed
from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import combined

NOW = 1_700_000_000.9


def test_a_refusal_is_small_dated_and_never_stored() -> None:
    response = synthetic(421, NOW, method=b"GET", fields=[(b"x", b"y")])
    assert (response.status, response.body) == (421, b"421 Misdirected Request\n")
    assert response.fields == [
        (b"date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
        (b"cache-control", b"no-store"),
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", b"24"),
        (b"x", b"y"),
    ]
    assert response.outcome == "denied"


def test_head_gets_the_fields_alone() -> None:
    get = synthetic(400, NOW, method=b"GET")
    head = synthetic(400, NOW, method=b"HEAD")
    assert head.fields == get.fields
    assert head.body == b""


def test_a_status_without_a_name_has_one_all_the_same() -> None:
    assert synthetic(599, NOW, method=b"GET").body == b"599 Error\n"


def test_no_content_has_no_length() -> None:
    response = no_content(NOW, [(b"allow", b"GET")])
    assert (response.status, response.body) == (204, b"")
    assert combined(response.fields, b"content-length") is None
    assert combined(response.fields, b"allow") == b"GET"


@pytest.mark.parametrize(
    ("word", "status", "retry_after"),
    [
        ("connection_refused", 502, None),
        ("connection_timeout", 504, None),
        ("connection_limit_reached", 503, b"1"),
    ],
)
def test_a_failure_of_the_next_hop_names_itself(
    word: str, status: int, retry_after: bytes | None
) -> None:
    response = upstream_failed(UpstreamError(word, status), NOW, method=b"GET", pop="fra1")
    assert (response.status, response.outcome) == (status, "error")
    assert combined(response.fields, b"proxy-status") == b"fra1; error=" + word.encode()
    assert combined(response.fields, b"retry-after") == retry_after
    assert combined(response.fields, b"cache-status") is None
