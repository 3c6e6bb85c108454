"""The main process of a PoP: owns the sockets and the front context, and keeps the others alive.

Without an event loop and without threads, so that it can fork at any time. It serves nothing, keeps
no certificate and answers no operator: N workers and one steward do, which are told to end in order
by SIGTERM or SIGINT and at once by the second one. A process that ends unasked, or hangs, is
replaced, on the same sockets, at once the first time and then with growing pauses. It may begin in
place of another PoP of its name, and end in favour of the next one (`handover`).

Invariants: sockets and the front context live as long as this process; no child outlives it.
"""

import logging
import os
import selectors
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Final, Literal

import uvloop

from edgeproxy.clock import Clock, SystemClock
from edgeproxy.config import compile as slices
from edgeproxy.config.schema import Config
from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.children import (
    CONFIGURATION,
    HEARD,
    UNAVAILABLE,
    Child,
    Closable,
    how_it_ended,
    reap,
)
from edgeproxy.runtime.crew import Crew
from edgeproxy.runtime.due import ReloadDue
from edgeproxy.runtime.endpoints import Endpoints
from edgeproxy.runtime.giving import Giving, gifts_of, manager_of
from edgeproxy.runtime.http3_sockets import Http3Sockets
from edgeproxy.runtime.inheritance import Inheritance
from edgeproxy.runtime.link import Link, Message, Received
from edgeproxy.runtime.names import Names
from edgeproxy.runtime.notify import Notifier
from edgeproxy.runtime.reloading import Read
from edgeproxy.runtime.serving import Post, work
from edgeproxy.runtime.stdout import SharedStdout
from edgeproxy.runtime.steward import Stewardship, keep
from edgeproxy.runtime.taking import Succession, Taken
from edgeproxy.runtime.wakeup import Wakeup
from edgeproxy.runtime.watching import SILENCE_SECONDS, Watching
from edgeproxy.siblings.lines import close_lines, make_lines, not_for

log = logging.getLogger(__name__)

# Ours: after so many that ended before they were ready, and with nobody who serves, it is not worth
# another try; whoever started us decides then. It takes a second and a half to get here.
FRUITLESS_MAX: Final = 6
# How long a process may take for its end beyond what is allowed to its clients.
_GRACE_SECONDS: Final = 10.0
_HURRY_SECONDS: Final = 3.0


class Supervisor:
    """`run` it once; `announce` takes a line for whoever watches it start and end.

    `taken` is what a PoP that runs has handed over, whose place this one takes.
    """

    def __init__(
        self,
        config: Config,
        workers: int,
        announce: Callable[[str], object],
        *,
        read: Read | None = None,
        clock: Clock | None = None,
        taken: Taken | None = None,
    ) -> None:
        self._config = config
        self._read = read
        self._announce = announce
        self._clock = clock or SystemClock()
        self._phase: Literal["starting", "serving", "draining"] = "starting"
        self._deadline: float | None = None
        self._is_hurried = False
        self._fruitless = 0
        self._restarts = {"worker": 0, "steward": 0}
        self._hangs = 0
        self._code = 0
        self._wakeup = Wakeup()
        self._selector = selectors.DefaultSelector()
        self._crew = Crew(workers, self._selector, self._received)
        self._steward, self._workers = self._crew.steward, self._crew.workers
        monotonic = self._clock.monotonic
        self._started = monotonic()
        self._environ = dict(os.environ) if taken is None else taken.environ(os.environ)
        self._notifier = Notifier(self._environ, monotonic=monotonic)
        self._watching = Watching(self._notifier.watchdog_seconds, monotonic)
        self._due = ReloadDue()
        self._is_reloading = False
        self._taken = taken
        self._succession = Succession(
            taken, monotonic, on_step=self._advance, on_failed=self._give_up
        )
        self._names: Names | None = None
        self._giving: Giving | None = None

    def run(self) -> int:
        """Serve until told to end; return the exit code.

        Raises:
            UnavailableError: an address cannot be bound, or nobody who could serve stays alive.
            ConfigError: a certificate cannot be used any more.
        """
        with ExitStack() as held:
            held.callback(self._selector.close)
            held.callback(self._wakeup.stop)
            if self._taken is not None:
                held.callback(self._taken.close)
            self._prepare(held)
            self._wakeup.start(HEARD)
            self._selector.register(self._wakeup, selectors.EVENT_READ)
            self._succession.listen(self._selector)
            held.callback(self._succession.close)
            held.callback(self._crew.kill)
            self._advance()
            self._begin_due()
            while self._phase != "draining" or self._crew.living():
                self._turn()
        return self._code

    def _prepare(self, held: ExitStack) -> None:
        """Bind everything and load what all processes inherit."""
        config, taken = self._config, self._taken
        groups = () if taken is None else taken.groups
        self._endpoints = Endpoints.bind(config, len(self._workers), groups)
        held.callback(self._endpoints.close)
        folder = slices.state_directory(config, os.environ)
        self._names = Names.of(folder, config.pop.name, taken)
        held.callback(self._let_go)
        self._inherited = Inheritance(config, len(self._workers), self._clock)
        self._stdout = SharedStdout()
        held.callback(self._stdout.close)
        self._lines = make_lines(len(self._workers))
        held.callback(close_lines, self._lines)
        https = self._endpoints.names("https") if config.listen.http3 else []
        self._http3 = Http3Sockets(https, len(self._workers), self._clock.monotonic)
        held.callback(self._http3.close)
        self._http3.open(is_late=taken is not None)

    # --- one turn -------------------------------------------------------------------------------

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if key.data is not None:
                key.data()
        for number in self._wakeup.heard():
            self._heard_signal(number)
        for pid, status in reap():
            self._ended(pid, status)
        self._succession.expire()
        if self._giving is not None:
            self._giving.expire()
        if self._phase == "draining":
            self._go_on_draining()
        else:
            self._begin_due()
        self._watch()

    def _patience(self) -> float:
        """Return how long there is nothing to do by ourselves, in seconds."""
        deadlines = [self._deadline, self._succession.deadline, self._http3.due]
        if self._giving is not None:
            deadlines.append(self._giving.deadline)
        moments = [self._watching.due, *(each for each in deadlines if each is not None)]
        if self._phase != "draining":
            moments += [each.due for each in self._crew.all if not each.pid]
        return max(0.0, min(moments) - self._clock.monotonic())

    def _heard_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            if self._phase == "draining":
                self._hurry()
            else:
                self._drain()
        elif number == signal.SIGHUP and self._phase != "draining":
            self._due.ask()
            self._reload_when_due()

    def _watch(self) -> None:
        """Replace workers that hang, and feed the service manager's watchdog while one does not."""
        if not self._watching.look(self._workers):
            return
        if self._notifier.watchdog_seconds is not None and self._watching.is_well(self._workers):
            self._notifier.alive()
        if self._phase != "draining":
            for each in self._watching.hanging(self._workers):
                self._kill_hanging(each, f"has said nothing for {SILENCE_SECONDS:g} s")

    def _kill_hanging(self, worker: Child, what: str) -> None:
        if worker.kill():
            log.error("%s, process %d, %s: it hangs, and is killed", worker.name, worker.pid, what)
            self._hangs += 1

    # --- what children say ----------------------------------------------------------------------

    def _received(self, child: Child, received: Received) -> None:
        message, descriptor = received
        if message["is"] == "configuration" and descriptor is not None:
            self._inherited.adopt(descriptor)
        else:
            self._heard(child, message)

    def _heard(self, child: Child, message: Message) -> None:
        child.silent = 0
        match message["is"]:
            case "prepared":
                child.is_prepared = True
                self._advance()
            case "ready":
                self._is_ready(child)
            case _ if child is self._steward:
                self._heard_of_steward(message)

    def _heard_of_steward(self, message: Message) -> None:
        match message["is"]:
            case "reloading":
                self._due.begun()
                self._tell_reloading()
            case "reloaded":
                self._due.ended()
                self._tell_reloading()
            case "released":
                self._release()
            case "lost":
                worker = self._workers[message["worker"]]
                if worker.channel == message["number"]:
                    self._crew.connect(worker)
            case "hangs":
                worker = self._workers[message["worker"]]
                if worker.pid == message["pid"]:
                    self._kill_hanging(worker, "does not answer the steward")

    def _is_ready(self, child: Child) -> None:
        child.is_ready = True
        self._fruitless = 0
        self._advance()
        if self._phase == "starting" and all(each.is_ready for each in self._crew.all):
            self._phase = "serving"
            self._tell_state()
            for line in self._endpoints.described(has_http3=self._http3.answers):
                self._announce(line)
            if self._taken is not None:
                self._notifier.main_pid(os.getpid())
            self._notifier.ready()
        if child is self._steward:
            self._reload_when_due()

    # --- reloads --------------------------------------------------------------------------------

    def _reload_when_due(self) -> None:
        """Have the steward reload; due until it has ended, so that a successor is told again."""
        if self._due.is_wanted and self._steward.is_ready and self._successor is None:
            self._steward.tell({"do": "reload"})

    def _tell_reloading(self) -> None:
        """Tell the service manager, which must hear of the end of what it heard the beginning."""
        is_reloading = self._due.is_running or (self._is_reloading and self._due.is_wanted)
        if self._phase == "serving" and is_reloading != self._is_reloading:
            if is_reloading:
                self._notifier.reloading()
            else:
                self._notifier.ready()
            self._is_reloading = is_reloading

    # --- beginning ------------------------------------------------------------------------------

    def _begin_due(self) -> None:
        now = self._clock.monotonic()
        if not self._steward.pid and self._steward.due <= now:
            self._begin(self._steward, self._be_steward)
            self._tell_state()
            for worker in self._workers:
                self._crew.connect(worker)
        for index, worker in enumerate(self._workers):
            if not worker.pid and worker.due <= now:
                self._begin(worker, partial(self._be_worker, index))
                self._crew.connect(worker)
                self._http3.give(index, worker)
        if not self._succession.predecessor:
            self._http3.open_late(self._workers)

    def _begin(self, child: Child, body: Callable[[Link], int]) -> None:
        inherited: list[Closable] = [self._wakeup, self._selector, *self._not_for(child)]
        if not self._crew.begin(child, body, inherited, self._clock.monotonic()):
            self._fail()

    def _not_for(self, child: Child) -> Iterator[Closable]:
        """Yield what a child inherits and must not hold open."""
        yield from self._succession.held()
        if self._giving is not None:
            yield from self._giving.held()
        if self._names is not None:
            yield from self._names.held(has_control=child is self._steward)
        yield from self._http3.all()
        index = None if child is self._steward else self._workers.index(child)
        yield from self._endpoints.not_for(index)
        yield from not_for(self._lines, index)

    def _be_worker(self, index: int, link: Link) -> int:
        post = Post(
            self._inherited.share,
            self._inherited.front,
            self._endpoints.of_worker("https", index),
            self._endpoints.of_worker("http", index),
            self._stdout.write,
            self._inherited.current.number,
            self._watching.alive_seconds,
            self._lines[index] if self._lines else None,
            self._http3.share(index),
        )
        return uvloop.run(work(post, link))

    def _be_steward(self, link: Link) -> int:
        stewardship = Stewardship(
            self._inherited.current,
            len(self._workers),
            self._read,
            self._endpoints.metrics,
            None if self._names is None else self._names.control.sock,
            self._clock,
            self._started,
            os.getppid(),
            is_first=not self._restarts["steward"],
            http3=self._http3.addresses,
        )
        return uvloop.run(keep(stewardship, link))

    # --- ending ---------------------------------------------------------------------------------

    def _ended(self, pid: int, status: int) -> None:
        found = self._crew.ended(pid, self._clock.monotonic())
        if found is None:
            return
        child, was_ready = found
        if self._phase == "draining":
            if status:
                log.error("%s, process %d, %s", child.name, pid, how_it_ended(status))
            if child is self._steward:
                self._release()
            return
        log.error("%s, process %d, %s", child.name, pid, how_it_ended(status))
        self._restarts["steward" if child is self._steward else "worker"] += 1
        if child is self._steward:
            if not self._due.died():
                log.error("a reload is given up: no steward has outlived it")
            self._tell_reloading()
        self._tell_state()
        if self._phase == "starting" and status >> 8 in (CONFIGURATION, UNAVAILABLE):
            self._code = status >> 8  # it has said why, and would say so again
            self._drain()
        elif not was_ready:
            self._fail()

    def _fail(self) -> None:
        """Count a process that ended before it was ready."""
        self._fruitless += 1
        if self._fruitless >= FRUITLESS_MAX and not any(each.is_ready for each in self._workers):
            raise UnavailableError(
                f"{self._fruitless} processes ended before they could serve, and none is serving"
            )

    def _drain(self) -> None:
        self._succession.give_up()
        self._phase = "draining"
        self._announce("draining")
        if self._succession.is_owner:  # else the service manager has never heard of us
            self._notifier.stopping()
        self._endpoints.close_listeners()
        self._deadline = (
            self._clock.monotonic() + self._inherited.config.limits.drain_timeout + _GRACE_SECONDS
        )
        self._tell_state()
        for worker in self._workers:
            worker.tell({"do": "drain"})

    def _go_on_draining(self) -> None:
        """Let the steward end behind the last worker, and nobody take longer than it may."""
        now = self._clock.monotonic()
        if self._steward.pid and not any(each.pid for each in self._workers):
            self._steward.tell({"do": "drain"})
        if self._deadline is not None and self._deadline <= now:
            if not self._is_hurried:
                log.error("processes that do not end are killed")
                self._code = self._code or 1
            self._deadline = None
            self._crew.kill()

    def _hurry(self) -> None:
        self._is_hurried = True
        self._deadline = self._clock.monotonic() + _HURRY_SECONDS
        for child in self._crew.living():
            child.tell({"do": "hurry"})

    # --- small ----------------------------------------------------------------------------------

    def _tell_state(self) -> None:
        self._steward.tell(
            {
                "do": "state",
                "phase": self._phase,
                "worker_restarts": self._restarts["worker"],
                "worker_hangs": self._hangs,
                "steward_restarts": self._restarts["steward"],
                "successor": self._successor or 0,
                "predecessor": self._succession.predecessor,
            }
        )

    # --- in place of another PoP ----------------------------------------------------------------

    def _advance(self) -> None:
        """Let begin who may: all at once, but in place of a PoP that runs, see `taking`."""
        succession = self._succession
        succession.advance(
            are_prepared=all(each.is_prepared for each in self._crew.all),
            are_workers_ready=all(each.is_ready for each in self._workers),
        )
        if succession.may_workers_serve:
            for worker in self._workers:
                worker.serve()
        if succession.is_owner:
            self._become_owner()
            self._steward.serve()
        self._tell_state()

    def _become_owner(self) -> None:
        if self._giving is None and self._names is not None and self._phase != "draining":
            self._giving = Giving(self, self._names.listener, self._selector, self._clock.monotonic)
        if self._succession.is_reload_due:
            self._succession.is_reload_due = False
            self._due.ask()
            self._reload_when_due()

    def _give_up(self, reason: str) -> None:
        log.error("the take-over has failed: %s", reason)
        self._code = UNAVAILABLE
        self._drain()

    # --- in favour of another one: `Giver` ------------------------------------------------------

    @property
    def _successor(self) -> int | None:
        return None if self._giving is None else self._giving.successor

    def why_not_now(self) -> str:
        """Return why nobody can take over at this moment; see `Giver`."""
        if self._phase != "serving":
            return f"it is {self._phase}"
        return "it reloads its configuration" if self._due.is_open else ""

    def gifts(self) -> Iterable[tuple[Message, Sequence[int]]]:
        """Yield all that a successor needs; see `Giver`."""
        yield from gifts_of(self._endpoints.groups)
        if self._names is not None:
            yield {"is": "control"}, self._names.descriptors()
        yield {"is": "all", "pid": os.getpid(), "manager": manager_of(self._environ)}, ()

    def succession_changed(self) -> None:
        """Tell who answers operators; see `Giver`."""
        self._tell_state()
        self._reload_when_due()

    def hand_over(self, successor: int) -> None:
        """Drain beside the process that accepts from now on; see `Giver`."""
        self._notifier.main_pid(successor)
        self._notifier = Notifier({}, monotonic=self._clock.monotonic)  # it listens to that one now
        if self._phase != "draining":
            self._drain()
        if self._steward.is_ready:
            self._steward.tell({"do": "release"})
        else:
            self._release()

    def _release(self) -> None:
        if self._giving is not None and self._giving.is_over:
            self._giving.release(is_reload_due=self._due.is_open)

    def _let_go(self) -> None:
        """Give up names that are ours; whoever takes over, or has, goes on with them."""
        is_last = self._successor is None
        if self._giving is not None:
            self._giving.close()
        if self._names is not None:
            if self._succession.is_owner and is_last:
                self._names.close()
            else:
                self._names.leave()
