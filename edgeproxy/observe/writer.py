"""One thread that may block, so that the event loop never does: where finished batches are written.

A daemon thread, unlike those of `concurrent.futures`: the interpreter waits for them at exit, and
one that hangs on a pipe which nobody reads would keep the process from ever ending. What it runs
must therefore hold no lock of the interpreter's own while it blocks, such as that of `sys.stdout`.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import NamedTuple


class _Job(NamedTuple):
    work: Callable[[], object]
    loop: asyncio.AbstractEventLoop
    done: asyncio.Future[None]


class Writer:
    """Runs what it is given, in order; the thread begins with the first job."""

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def submit(self, work: Callable[[], object]) -> asyncio.Future[None]:
        """Run `work` in its turn; the future ends with it, by its exception if it raised one."""
        loop = asyncio.get_running_loop()
        job = _Job(work, loop, loop.create_future())
        self._jobs.put(job)
        if self._thread.ident is None:
            self._thread.start()
        return job.done

    def close(self) -> None:
        """Let the thread end after what was submitted; waits for nothing."""
        self._jobs.put(None)

    def _run(self) -> None:
        while (job := self._jobs.get()) is not None:
            failure: Exception | None = None
            try:
                job.work()
            except Exception as error:  # noqa: BLE001 - whose job it was hears of it
                failure = error
            with suppress(RuntimeError):  # a loop that was closed meanwhile waits for nothing
                job.loop.call_soon_threadsafe(_settle, job.done, failure)


def _settle(done: asyncio.Future[None], failure: Exception | None) -> None:
    if done.cancelled():
        return
    if failure is None:
        done.set_result(None)
    else:
        done.set_exception(failure)
