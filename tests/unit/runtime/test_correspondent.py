"""Tests for edgeproxy/runtime/correspondent.py; what it says to a roster is in test_roster.py."""

from edgeproxy.runtime import correspondent
from edgeproxy.runtime.correspondent import Correspondent


async def test_what_waits_for_a_steward_is_bounded(monkeypatch, caplog):
    monkeypatch.setattr(correspondent, "HELD_KEYS_MAX", 2)
    worker = Correspondent(None)
    worker.tell_invalid([b"a", b"b"])
    assert list(worker._held) == [b"a", b"b"]
    worker.tell_invalid([b"c"])
    assert "3 keys are not forgotten by other workers" in caplog.text
    assert not worker._held
    await worker.aclose()
