import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.target import resolve


def https(method: bytes, target: bytes, *hosts: bytes, version: bytes = b"1.1"):
    return resolve(method, target, list(hosts), scheme=b"https", version=version)


@pytest.mark.parametrize(
    "target", [b"/", b"/a?b;c&a=1&a=2", b"//evil/x", b"/..%2f\\|", b"/?", b"/https://x/"]
)
def test_origin_form_is_kept_byte_for_byte(target: bytes) -> None:
    assert https(b"GET", target, b"A.example:443") == (target, b"A.example:443")


@pytest.mark.parametrize(
    ("method", "target", "expected"),
    [
        (b"GET", b"https://b/x?y", (b"/x?y", b"b")),
        (b"GET", b"HTTPS://B:1", (b"/", b"B:1")),
        (b"GET", b"https://b?q", (b"/?q", b"b")),
        (b"GET", b"https://[::1]:8/", (b"/", b"[::1]:8")),
        (b"OPTIONS", b"https://b", (b"*", b"b")),
        (b"OPTIONS", b"https://b/", (b"/", b"b")),
        (b"OPTIONS", b"*", (b"*", b"a")),
    ],
)
def test_other_forms(method: bytes, target: bytes, expected: tuple[bytes, bytes]) -> None:
    assert https(method, target, b"a") == expected


@pytest.mark.parametrize(
    "target",
    [b"*", b"a", b"a:443", b"/x#y", b"https://u@b/", b"https:///x", b"https://b/x#y", b"https:/b",
     b"https://b:x/", b"ftp://b/", b"?x", b"https://b\\@c/"],
)  # fmt: skip
def test_refused_targets(target: bytes) -> None:
    with pytest.raises(DownstreamError) as caught:
        https(b"GET", target, b"a")
    assert caught.value.status == 400


def test_the_other_port_s_scheme_is_misdirected() -> None:
    with pytest.raises(DownstreamError) as caught:
        https(b"GET", b"http://a/", b"a")
    assert caught.value.status == 421


@pytest.mark.parametrize("hosts", [(), (b"a", b"a"), (b"a", b"b"), (b"",), (b"a b",), (b"a, b",)])
def test_http_1_1_needs_exactly_one_valid_host(hosts: tuple[bytes, ...]) -> None:
    for target in (b"/", b"https://a/"):
        with pytest.raises(DownstreamError) as caught:
            https(b"GET", target, *hosts)
        assert (caught.value.status, caught.value.reason) == (400, "host")


def test_http_1_0_may_come_without_host_but_not_with_two() -> None:
    assert https(b"GET", b"/", version=b"1.0") == (b"/", b"")
    with pytest.raises(DownstreamError):
        https(b"GET", b"/", b"a", b"a", version=b"1.0")
