import select
import signal

from edgeproxy.runtime.wakeup import Wakeup


def test_signals_can_be_waited_for_and_are_put_back():
    before = signal.getsignal(signal.SIGHUP)
    wakeup = Wakeup()
    wakeup.start([signal.SIGHUP])
    assert wakeup.heard() == []
    signal.raise_signal(signal.SIGHUP)
    assert select.select([wakeup], [], [], 10)[0] == [wakeup]
    assert wakeup.heard() == [signal.SIGHUP]
    wakeup.stop()
    assert signal.getsignal(signal.SIGHUP) is before
