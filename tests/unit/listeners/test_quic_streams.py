"""The seam is a pair of protocols: what implements them must have all of it."""

import inspect

from edgeproxy.listeners.quic_streams import Http3Side, QuicStreams


def methods(protocol: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


def test_the_seam_is_synchronous():
    for protocol in (QuicStreams, Http3Side):
        for name in methods(protocol):
            assert not inspect.iscoroutinefunction(getattr(protocol, name)), name


def test_what_either_side_calls():
    assert set(methods(QuicStreams)) == {
        "close",
        "consumed",
        "later",
        "open_unidirectional",
        "prioritise",
        "reset",
        "room",
        "send",
        "stop",
    }
    assert set(methods(Http3Side)) == {
        "drain",
        "lost",
        "received",
        "tick",
        "was_reset",
        "was_stopped",
        "writable",
    }
