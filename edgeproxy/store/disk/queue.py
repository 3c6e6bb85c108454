"""Operations in order for each key, carried out by a few threads, bounded in octets and number.

Knows nothing of disks. The threads are daemons: one that hangs in the kernel must not keep the
process from ending. Loads go before writes of other keys, and one thread is always left for them.
"""

import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

Key = Hashable


@dataclass(slots=True, eq=False)
class Operation:
    """Something to do; `bytes` is what it keeps in memory until then."""

    run: Callable[[], Any]
    bytes: int = 0
    answer: "Future[Any] | None" = None  # of a load: somebody waits for it


class OrderedQueue:
    """Carries operations out with `perform`, which returns False where one is to be kept."""

    def __init__(
        self,
        perform: Callable[[Operation], bool],
        *,
        threads: int,
        may_retry: Callable[[], bool],
    ) -> None:
        self._perform = perform
        self._may_retry = may_retry
        self._changed = threading.Condition()
        self._chains: dict[Key, deque[Operation]] = {}
        self._busy: set[Key] = set()
        # in order, each key once: of a key that is written over and over while the disk hangs
        # there is one operation, and no more than one place
        self._loads: OrderedDict[Key, None] = OrderedDict()
        self._writes: OrderedDict[Key, None] = OrderedDict()
        self._kept: dict[Key, None] = {}  # in order: what heads their chains could not be done
        self._writers = 0
        self._writers_max = max(1, threads - 1)
        self._is_closing = False
        self._running = threads
        self.ended: Future[None] = Future()
        self.bytes = 0
        self.operations = 0
        for number in range(threads):
            threading.Thread(target=self._work, name=f"disk-{number}", daemon=True).start()

    def submit(self, key: Key, operation: Operation, *, supersedes: bool = False) -> None:
        """Add an operation; one that `supersedes` takes the writes before it out.

        A load behind a write that could not be done is answered with None: nobody is to wait until
        that can be done.
        """
        with self._changed:
            if self._kept and self._may_retry():
                self._writes.update(self._kept)
                self._kept.clear()
                self._changed.notify_all()
            if operation.answer is not None and key in self._kept:
                _answer_nothing(operation)
                return
            chain = self._chains.setdefault(key, deque())
            if supersedes:
                running = [chain.popleft()] if key in self._busy and chain else []
                for other in chain:
                    self._forget(other if other.answer is None else None)
                loads = [other for other in chain if other.answer is not None]
                self._chains[key] = chain = deque([*running, *loads])
                self._kept.pop(key, None)
            chain.append(operation)
            self.bytes += operation.bytes
            self.operations += 1
            if key not in self._busy and (len(chain) == 1 or supersedes):
                self._enlist(key)
            self._changed.notify_all()

    def lighten(self, operation: Operation, run: Callable[[], Any]) -> None:
        """Let an operation be another one that keeps nothing in memory."""
        with self._changed:
            self.bytes -= operation.bytes
            operation.bytes = 0
            operation.run = run

    def clear(self) -> None:
        """Take out every write that has not begun."""
        with self._changed:
            for key, chain in list(self._chains.items()):
                running = [chain.popleft()] if key in self._busy and chain else []
                for other in chain:
                    self._forget(other if other.answer is None else None)
                rest = [*running, *(other for other in chain if other.answer is not None)]
                self._chains[key] = deque(rest)
                if not rest:
                    del self._chains[key]
                elif not running:
                    self._enlist(key)
            self._kept.clear()

    def close(self) -> None:
        """Take nothing more; `ended` is done when everything that could be done is."""
        with self._changed:
            self._is_closing = True
            self._writes.update(self._kept)
            self._kept.clear()
            self._changed.notify_all()

    def _forget(self, operation: Operation | None) -> None:
        if operation is not None:
            self.bytes -= operation.bytes
            self.operations -= 1

    def _enlist(self, key: Key) -> None:
        is_load = self._chains[key][0].answer is not None
        (self._loads if is_load else self._writes)[key] = None

    def _take(self) -> Key | None:
        """Choose a key; one may stand in both lists, or have nothing left to do."""
        while self._loads:
            key, _ = self._loads.popitem(last=False)
            if key in self._chains and key not in self._busy:
                return key
        while self._writes and self._writers < self._writers_max:
            key, _ = self._writes.popitem(last=False)
            if key in self._chains and key not in self._busy:
                return key
        return None

    def _work(self) -> None:
        while (key := self._next()) is not None:
            operation = self._chains[key][0]
            is_done = self._perform(operation)
            with self._changed:
                self._finish(key, operation, is_done=is_done)
        with self._changed:
            self._running -= 1
            is_last = self._running == 0
            self._changed.notify_all()
        if is_last:
            self.ended.set_result(None)

    def _next(self) -> Key | None:
        with self._changed:
            while (key := self._take()) is None:
                if self._is_closing and not self._busy and not self._writes:
                    self._changed.notify_all()
                    return None
                self._changed.wait()
            self._busy.add(key)
            self._writers += self._chains[key][0].answer is None
            return key

    def _finish(self, key: Key, operation: Operation, *, is_done: bool) -> None:
        self._busy.discard(key)
        self._writers -= operation.answer is None
        chain = self._chains[key]
        if is_done:
            self._forget(chain.popleft())
        if not chain:
            del self._chains[key]
        elif is_done:
            self._enlist(key)
        elif not self._is_closing:
            self._kept[key] = None
            self._answer_loads(chain)
        self._changed.notify_all()

    def _answer_loads(self, chain: deque[Operation]) -> None:
        """Let nobody wait for what cannot be done now."""
        for other in [each for each in chain if each.answer is not None]:
            chain.remove(other)
            self._forget(other)
            _answer_nothing(other)


def _answer_nothing(operation: Operation) -> None:
    if operation.answer is not None and operation.answer.set_running_or_notify_cancel():
        operation.answer.set_result(None)
