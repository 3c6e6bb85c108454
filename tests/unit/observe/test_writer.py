import asyncio
import threading

import pytest

from edgeproxy.observe.writer import Writer


@pytest.fixture
def writer():
    writer = Writer("test")
    yield writer
    writer.close()


async def test_jobs_run_in_order_and_elsewhere(writer: Writer) -> None:
    ran: list[tuple[int, str]] = []

    def work(number: int) -> None:
        ran.append((number, threading.current_thread().name))

    for number in range(2):
        writer.submit(lambda number=number: work(number))
    await writer.submit(lambda: work(2))
    assert ran == [(0, "test"), (1, "test"), (2, "test")]


async def test_a_job_that_fails_is_heard_of_and_the_next_one_runs(writer: Writer) -> None:
    with pytest.raises(ZeroDivisionError):
        await writer.submit(lambda: 1 // 0)
    await writer.submit(lambda: None)


async def test_whoever_stops_waiting_disturbs_nobody(writer: Writer) -> None:
    gate = threading.Event()
    writer.submit(lambda: gate.wait(10)).cancel()
    gate.set()
    await writer.submit(lambda: None)


def test_a_loop_that_is_closed_meanwhile_hears_nothing(writer: Writer) -> None:
    gate, entered, left = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        entered.set()
        gate.wait(10)

    async def main() -> None:
        writer.submit(work)
        writer.submit(left.set)
        await asyncio.to_thread(entered.wait, 10)

    asyncio.run(main())
    gate.set()
    assert left.wait(10)


async def test_the_thread_keeps_no_process_from_ending(writer: Writer) -> None:
    daemons: list[bool] = []
    await writer.submit(lambda: daemons.append(threading.current_thread().daemon))
    assert daemons == [True]


async def test_closing_ends_the_thread_behind_what_was_submitted() -> None:
    writer, threads = Writer("test"), []
    done = writer.submit(lambda: threads.append(threading.current_thread()))
    writer.close()
    await done
    await asyncio.to_thread(threads[0].join, 10)
    assert not threads[0].is_alive()
