from pathlib import Path

from edgeproxy.store.disk.temporary import Temporary


def test_two_that_look_alike_are_two():
    one, other = (Temporary(Path("x"), None, [1], 2) for _ in range(2))
    assert one != other
    assert len({one, other}) == 2
    assert not one.is_over
    assert one.lock is not other.lock
