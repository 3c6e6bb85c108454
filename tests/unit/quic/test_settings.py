"""Tests for edgeproxy/quic/settings.py."""

import dataclasses

import pytest

from edgeproxy.tls.contexts import FrontContext
from edgeproxy.wire.limits import Limits
from tests.support.quic import any_identity, settings_of


def test_windows_follow_the_limits():
    front = FrontContext([any_identity()])
    limits = dataclasses.replace(Limits(), request_body_buffer_bytes=10_000, idle_seconds=7.0)
    settings = settings_of(front, limits=limits)
    configuration = settings.configuration
    assert configuration.max_stream_data == settings.stream_window == 10_000
    assert configuration.max_data == settings.connection_window == 40_000
    assert configuration.idle_timeout == 7.0
    assert configuration.supported_versions == [1]
    assert configuration.alpn_protocols == ["h3"]
    assert configuration.max_datagram_frame_size is None


@pytest.mark.parametrize(
    "limit", ["request_body_buffer_bytes", "concurrent_streams_max", "field_section_bytes_max"]
)
def test_terms_are_others_when_a_limit_is_that_clients_remember(limit):
    settings = settings_of(FrontContext([any_identity()]))
    less = dataclasses.replace(Limits(), **{limit: getattr(Limits(), limit) - 1})
    assert settings.terms("a") == settings_of(settings.front).terms("a")
    assert settings.terms("a") != settings.terms("b")
    assert settings.terms("a") != dataclasses.replace(settings, limits=less).terms("a")
