"""Tests for edgeproxy/origin/asides.py."""

from edgeproxy.origin.asides import Asides


def test_nothing_is_said_aside_at_first():
    made = Asides()
    assert (made.interim, made.fault) == (None, None)


def test_who_listens_is_kept():
    assert Asides(print).interim is print
