"""Tests for edgeproxy/runtime/reloading.py; what a reload does: tests/scenarios."""

from edgeproxy.control.reloading import Reloaded
from edgeproxy.observe.counters import Counters
from edgeproxy.runtime.notify import Notifier
from edgeproxy.runtime.reloading import Reloading


async def test_without_a_file_only_certificates_are_looked_at():
    looked = []

    async def look():
        looked.append(1)

    counters = Counters()
    reloading = Reloading(
        None, None, look, counters=counters, notifier=Notifier({}, monotonic=float)
    )
    assert await reloading.reload() == Reloaded((), ())
    assert (looked, counters.reloads) == ([1], {})
