import threading
from concurrent.futures import Future
from functools import partial

from edgeproxy.store.disk.queue import Operation, OrderedQueue


def test_operations_of_a_key_are_in_order_and_a_load_waits_for_them():
    done = []

    def perform(operation):
        done.append(operation.run())
        if operation.answer:
            operation.answer.set_result(list(done))
        return True

    queue = OrderedQueue(perform, threads=3, may_retry=lambda: True)
    for number in range(50):
        queue.submit(b"k", Operation(lambda number=number: number, bytes=1))
    answer = Future()
    queue.submit(b"k", Operation(lambda: "load", answer=answer))
    assert answer.result(10) == [*range(50), "load"]
    queue.close()
    queue.ended.result(10)
    assert (queue.bytes, queue.operations) == (0, 0)


def test_what_supersedes_takes_waiting_writes_out():
    gate, done = threading.Event(), []
    queue = OrderedQueue(lambda op: op.run() or True, threads=2, may_retry=lambda: True)
    queue.submit(b"k", Operation(lambda: gate.wait(10) and None))
    queue.submit(b"k", Operation(lambda: done.append("put"), bytes=9))
    queue.submit(b"k", Operation(lambda: done.append("forget")), supersedes=True)
    gate.set()
    queue.close()
    queue.ended.result(10)
    assert done == ["forget"]
    assert (queue.bytes, queue.operations) == (0, 0)


def test_a_key_that_is_written_over_and_over_while_the_disk_hangs_waits_in_one_place():
    began, gate, done = threading.Event(), threading.Event(), []

    def hang():
        began.set()
        gate.wait(10)

    queue = OrderedQueue(lambda op: op.run() or True, threads=2, may_retry=lambda: True)
    queue.submit(b"other", Operation(hang))
    assert began.wait(10)
    for number in range(1000):
        queue.submit(b"k", Operation(partial(done.append, number)), supersedes=True)
    assert queue.operations == 2
    assert len(queue._writes) == 1
    gate.set()
    queue.close()
    queue.ended.result(10)
    assert done == [999]


def test_what_could_not_be_done_is_kept_and_tried_again():
    well, done = [], []

    def perform(operation):
        if not well:
            seen.set()
            return False
        operation.run()
        return True

    seen = threading.Event()
    queue = OrderedQueue(perform, threads=2, may_retry=lambda: bool(well))
    queue.submit(b"a", Operation(lambda: done.append("a")))
    assert seen.wait(10)
    well.append(True)
    queue.submit(b"b", Operation(lambda: done.append("b")))
    queue.close()
    queue.ended.result(10)
    assert sorted(done) == ["a", "b"]


def test_no_load_waits_for_what_could_not_be_done():
    began, gate, is_well = threading.Event(), threading.Event(), threading.Event()

    def perform(operation):
        if operation.answer is not None:
            operation.answer.set_result("found")
            return True
        began.set()
        return gate.wait(10) and is_well.is_set()

    queue = OrderedQueue(perform, threads=2, may_retry=is_well.is_set)
    queue.submit(b"k", Operation(lambda: None, bytes=7))
    assert began.wait(10)
    early, late, last, gone = Future(), Future(), Future(), Future()
    queue.submit(b"k", Operation(lambda: None, answer=early))
    queue.submit(b"k", Operation(lambda: None, answer=gone))
    gone.cancel()
    gate.set()
    assert early.result(10) is None
    queue.submit(b"k", Operation(lambda: None, answer=late))
    assert late.result(10) is None
    assert (queue.bytes, queue.operations) == (7, 1)
    is_well.set()
    queue.submit(b"k", Operation(lambda: None, answer=last))
    assert last.result(10) == "found"
    queue.close()
    queue.ended.result(10)
    assert (queue.bytes, queue.operations) == (0, 0)
