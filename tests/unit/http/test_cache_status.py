import pytest

from edgeproxy.http.cache_status import FORWARD_REASONS, member


def test_examples():
    assert member("edgeproxy", hit=True, ttl=3) == b"edgeproxy; hit; ttl=3"
    assert member("fra1", fwd="uri-miss", stored=True) == b"fra1; fwd=uri-miss; stored"
    assert member("fra1", hit=True, ttl=-412) == b"fra1; hit; ttl=-412"


def test_parameters_keep_their_order():
    assert (
        member(
            "my edge",
            fwd="stale",
            fwd_status=304,
            ttl=60,
            stored=True,
            collapsed=True,
            key='a"b',
            detail="x y",
        )
        == b'"my edge"; fwd=stale; fwd-status=304; ttl=60; stored; collapsed; key="a\\"b"; '
        b'detail="x y"'
    )


@pytest.mark.parametrize("arguments", [{}, {"hit": True, "fwd": "stale"}])
def test_a_request_is_a_hit_or_forwarded(arguments):
    with pytest.raises(ValueError, match="either"):
        member("edgeproxy", **arguments)


def test_every_reason_can_be_written():
    for reason in FORWARD_REASONS:
        assert member("e", fwd=reason) == b"e; fwd=" + reason.encode()
