"""Who stands on which side of the seam has all that the other side calls."""

import inspect

import pytest

from edgeproxy.listeners.http3 import Http3Session
from edgeproxy.listeners.quic_streams import Http3Side, QuicStreams
from tests.support.h3_quic import StockStreams
from tests.support.http3_session import FakeStreams


def methods(protocol: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


def test_the_session_has_all_that_quic_calls():
    for name, signature in methods(Http3Side).items():
        assert inspect.signature(getattr(Http3Session, name)) == signature, name


@pytest.mark.parametrize("implementation", [FakeStreams, StockStreams])
def test_what_stands_in_for_quic_has_all_that_the_session_calls(implementation: type):
    for name, signature in methods(QuicStreams).items():
        own = inspect.signature(getattr(implementation, name))
        assert own.parameters.keys() == signature.parameters.keys(), name
