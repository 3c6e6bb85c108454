"""The seam is a pair of protocols: what implements them must have all of it."""

import inspect

import pytest

from edgeproxy.listeners.connection import Connection, TlsConnection
from edgeproxy.listeners.http1 import Http1Session
from edgeproxy.listeners.http2 import Http2Session
from edgeproxy.listeners.session import Channel, Session


def methods(protocol: type) -> dict[str, inspect.Signature]:
    return {
        name: inspect.signature(member)
        for name, member in vars(protocol).items()
        if inspect.isfunction(member) and not name.startswith("_")
    }


@pytest.mark.parametrize("implementation", [Http1Session, Http2Session])
def test_sessions(implementation: type):
    for name, signature in methods(Session).items():
        own = inspect.signature(getattr(implementation, name))
        assert list(own.parameters) == list(signature.parameters), name


@pytest.mark.parametrize("implementation", [Connection, TlsConnection])
def test_channels(implementation: type):
    for name, signature in methods(Channel).items():
        own = inspect.signature(getattr(implementation, name))
        assert list(own.parameters) == list(signature.parameters), name
    assert isinstance(implementation.unsent_bytes, property)
