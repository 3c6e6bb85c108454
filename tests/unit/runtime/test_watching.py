from edgeproxy.runtime.children import Child
from edgeproxy.runtime.watching import LOOK_SECONDS, SILENCE_SECONDS, Watching
from tests.support.clock import ManualClock


def two(*, is_ready=True):
    return [Child(f"worker {index}", pid=index + 1, is_ready=is_ready) for index in range(2)]


def look(watching, clock, workers, times=1):
    for _ in range(times):
        clock.advance(watching.every)
        assert watching.look(workers)


def test_who_says_nothing_for_so_long_hangs_and_the_other_does_not():
    clock, workers = ManualClock(), two()
    watching = Watching(None, clock.monotonic)
    assert (watching.every, watching.alive_seconds) == (LOOK_SECONDS, LOOK_SECONDS / 2)
    for _ in range(int(SILENCE_SECONDS / LOOK_SECONDS)):
        look(watching, clock, workers)
        workers[1].silent = 0  # it has said something
        assert watching.hanging(workers) == []
    look(watching, clock, workers)
    assert watching.hanging(workers) == workers[:1]
    assert watching.is_well(workers)
    workers[0].pid = 0
    assert watching.hanging(workers) == []


def test_a_machine_that_stood_still_is_one_look():
    clock, workers = ManualClock(), two()
    watching = Watching(None, clock.monotonic)
    look(watching, clock, workers)
    clock.advance(10_000)
    assert watching.look(workers)
    assert not watching.look(workers)
    assert watching.hanging(workers) == []


def test_the_service_manager_hears_nothing_once_all_are_silent():
    clock, workers = ManualClock(), two()
    watching = Watching(0.5, clock.monotonic)
    assert watching.every == 0.5
    look(watching, clock, workers, 2)
    assert watching.is_well(workers)
    look(watching, clock, workers)
    assert not watching.is_well(workers)
    workers[1].silent = 0
    assert watching.is_well(workers)
    assert watching.is_well(two(is_ready=False))  # nobody could
