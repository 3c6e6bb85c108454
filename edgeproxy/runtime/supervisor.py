"""The main process of a PoP: owns the sockets and the front context, and keeps the others alive.

Without an event loop and without threads, so that it can fork at any time. It serves nothing, keeps
no certificate and answers no operator: N workers and one steward do, which are told to end in order
by SIGTERM or SIGINT and at once by the second one. A process that ends unasked is replaced, on the
same sockets, at once the first time and then with growing pauses.

Invariants: sockets and the front context live as long as this process; no child outlives it.
"""

import logging
import os
import selectors
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from typing import Final, Literal

import uvloop

from edgeproxy.clock import Clock, SystemClock
from edgeproxy.config import compile as slices
from edgeproxy.config.certificates import load_certificates
from edgeproxy.config.files import identity_sources
from edgeproxy.config.schema import Config
from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.certificates import front_context
from edgeproxy.runtime.channel import channel_pair
from edgeproxy.runtime.children import (
    CONFIGURATION,
    HEARD,
    UNAVAILABLE,
    Child,
    Closable,
    fork,
    how_it_ended,
    reap,
)
from edgeproxy.runtime.generation import Generation
from edgeproxy.runtime.link import LinkEndedError, Message, link_pair
from edgeproxy.runtime.notify import Notifier
from edgeproxy.runtime.reloading import Read, adopt_connections, adopt_log
from edgeproxy.runtime.serving import Post, work
from edgeproxy.runtime.sockets import bind_all, bind_shared, close_all, name_of
from edgeproxy.runtime.stdout import SharedStdout
from edgeproxy.runtime.steward import Stewardship, keep
from edgeproxy.runtime.wakeup import Wakeup
from edgeproxy.siblings.lines import close_lines, make_lines

log = logging.getLogger(__name__)

# Ours: after so many that ended before they were ready, and with nobody who serves, it is not worth
# another try; whoever started us decides then. It takes a second and a half to get here.
FRUITLESS_MAX: Final = 6
# How long a process may take for its end beyond what is allowed to its clients.
_GRACE_SECONDS: Final = 10.0
_HURRY_SECONDS: Final = 3.0


class Supervisor:
    """`run` it once; `announce` takes a line for whoever watches it start and end."""

    def __init__(
        self,
        config: Config,
        workers: int,
        announce: Callable[[str], object],
        *,
        read: Read | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._config = config
        self._read = read
        self._generation = 0
        self._is_reload_due = False
        self._is_reloading = False
        self._announce = announce
        self._clock = clock or SystemClock()
        self._steward = Child("steward")
        self._workers = [Child(f"worker {index}") for index in range(workers)]
        self._phase: Literal["starting", "serving", "draining"] = "starting"
        self._deadline: float | None = None
        self._is_hurried = False
        self._fruitless = 0
        self._restarts = {"worker": 0, "steward": 0}
        self._code = 0
        self._wakeup = Wakeup()
        self._selector = selectors.DefaultSelector()
        self._started = self._clock.monotonic()
        self._notifier = Notifier(os.environ, monotonic=self._clock.monotonic)
        self._alive_due = self._started

    def run(self) -> int:
        """Serve until told to end; return the exit code.

        Raises:
            UnavailableError: an address cannot be bound, or nobody who could serve stays alive.
            ConfigError: a certificate cannot be used any more.
        """
        with ExitStack() as held:
            held.callback(self._selector.close)
            held.callback(self._wakeup.stop)
            self._prepare(held)
            self._wakeup.start(HEARD)
            self._selector.register(self._wakeup, selectors.EVENT_READ)
            held.callback(self._kill_all)
            self._begin_due()
            while self._phase != "draining" or self._living():
                self._turn()
        return self._code

    def _prepare(self, held: ExitStack) -> None:
        """Bind everything and load what all processes inherit."""
        config, count = self._config, len(self._workers)
        self._https = bind_shared(slices.https_addresses(config), count)
        held.callback(self._close_listeners)
        self._http: list[list[socket.socket]] = [[] for _ in self._workers]
        self._http = bind_shared(slices.redirect_addresses(config), count)
        self._metrics = bind_all(slices.metrics_addresses(config))
        held.callback(close_all, self._metrics)
        sources = identity_sources(config)  # a folder may hold others when a steward follows
        identities = load_certificates(config, now=self._clock.now())
        self._identities = list(zip(sources, identities, strict=True))
        self._front = front_context(config, identities, self._clock)
        self._stdout = SharedStdout()
        held.callback(self._stdout.close)
        self._lines = make_lines(count)
        held.callback(close_lines, self._lines)

    def _close_listeners(self) -> None:
        """Accept nothing any more; workers do the same with what they have of these."""
        for sockets in (*self._https, *self._http):
            close_all(sockets)

    # --- one turn -------------------------------------------------------------------------------

    def _turn(self) -> None:
        for key, _ in self._selector.select(self._patience()):
            if isinstance(key.data, Child):
                self._hear(key.data)
        for number in self._wakeup.heard():
            self._heard_signal(number)
        for pid, status in reap():
            self._ended(pid, status)
        if self._phase == "draining":
            self._go_on_draining()
        else:
            self._begin_due()
        self._stay_alive()

    def _patience(self) -> float | None:
        """Return until when there is nothing to do by ourselves; None: for ever."""
        moments = [] if self._deadline is None else [self._deadline]
        if self._notifier.watchdog_seconds is not None:
            moments.append(self._alive_due)
        if self._phase != "draining":
            moments += [each.due for each in self._places() if not each.pid]
        return max(0.0, min(moments) - self._clock.monotonic()) if moments else None

    def _heard_signal(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            if self._phase == "draining":
                self._hurry()
            else:
                self._drain()
        elif number == signal.SIGHUP and self._phase != "draining":
            self._is_reload_due = True
            self._reload_when_due()

    def _reload_when_due(self) -> None:
        """Have the steward reload; due until it has begun, so that a successor is told again."""
        if self._is_reload_due and self._steward.is_ready:
            self._steward.tell({"do": "reload"})

    def _stay_alive(self) -> None:
        """Feed the service manager's watchdog while a worker reports, or none could.

        One that is stuck does not end the others.
        """
        now, every = self._clock.monotonic(), self._notifier.watchdog_seconds
        if every is None or now < self._alive_due:
            return
        self._alive_due = now + every
        serving = [each for each in self._workers if each.is_ready]
        if not serving or any(now - each.heard < 2 * every for each in serving):
            self._notifier.alive()

    def _hear(self, child: Child) -> None:
        if child.link is None:
            return
        try:
            for message, descriptor in child.link.received():
                if message["is"] == "configuration" and descriptor is not None:
                    self._adopt(descriptor)
                else:
                    self._heard(child, message)
        except LinkEndedError:
            self._selector.unregister(child.link)
            child.unlink()

    def _heard(self, child: Child, message: Message) -> None:
        child.heard = self._clock.monotonic()
        if message["is"] == "ready":
            self._is_ready(child)
        elif message["is"] in ("reloading", "reloaded"):
            self._tell_reloading(is_reloading=message["is"] == "reloading")
        elif message["is"] == "lost" and child is self._steward:
            worker = self._workers[message["worker"]]
            if worker.channel == message["number"]:
                self._connect(worker)

    def _is_ready(self, child: Child) -> None:
        child.is_ready = True
        self._fruitless = 0
        if self._phase == "starting" and all(each.is_ready for each in self._places()):
            self._phase = "serving"
            self._tell_state()
            self._say_where()
            self._notifier.ready()
        if child is self._steward:
            self._reload_when_due()

    def _tell_reloading(self, *, is_reloading: bool) -> None:
        """Tell the service manager, which must hear of the end of what it heard the beginning."""
        self._is_reload_due = self._is_reload_due and not is_reloading
        if self._phase == "serving" and is_reloading != self._is_reloading:
            if is_reloading:
                self._notifier.reloading()
            else:
                self._notifier.ready()
            self._is_reloading = is_reloading

    def _adopt(self, descriptor: int) -> None:
        """Let all that are born from now on begin with what is current, and drain by it."""
        try:
            current = Generation.of_descriptor(descriptor)
            self._front.adopt(
                slices.tls_parameters(current.config),
                unknown_name=current.config.tls.unknown_sni,
                no_name=current.config.tls.no_sni,
            )
            self._front.replace([identity for _, identity in current.identities])
            adopt_log(self._config, current.config)
            adopt_connections(*map(self._share_of, (self._config, current.config)))
        except Exception:  # those to come begin with what there was, and the steward tells them
            log.exception("the configuration that is current is not known to the main process")
            return
        self._generation, self._config = current.number, current.config
        self._identities = list(current.identities)

    # --- beginning ------------------------------------------------------------------------------

    def _begin_due(self) -> None:
        now = self._clock.monotonic()
        if not self._steward.pid and self._steward.due <= now:
            self._begin(self._steward, self._be_steward)
            self._tell_state()
            for worker in self._workers:
                self._connect(worker)
        for index, worker in enumerate(self._workers):
            if not worker.pid and worker.due <= now:
                self._begin(worker, lambda index=index: self._be_worker(index))  # type: ignore[misc]
                self._connect(worker)

    def _begin(self, child: Child, body: Callable[[], int]) -> None:
        now = self._clock.monotonic()
        here, self._there = link_pair()
        inherited: list[Closable] = [self._wakeup, self._selector, here, *self._not_for(child)]
        try:
            pid = fork(child.name, body, inherited=inherited)
        except OSError as error:
            log.error("%s cannot begin: %s", child.name, error.strerror)  # noqa: TRY400 - says all
            here.close()
            child.born = now
            child.ended(now)
            self._fail()
            return
        finally:
            self._there.close()
        child.begun(pid, here, now)
        self._selector.register(here, selectors.EVENT_READ, child)
        log.info("%s is process %d", child.name, pid)

    def _not_for(self, child: Child) -> Iterator[Closable]:
        """Yield what a child inherits and must not hold open."""
        yield from (each.link for each in self._places() if each.link is not None)
        if child is self._steward:
            yield from (sender for lines in self._lines[:1] for sender in lines.senders)
        else:
            yield from self._metrics
        for other, https, http in zip(self._workers, self._https, self._http, strict=True):
            if other is not child:
                yield from (*https, *http)
        for other, lines in zip(self._workers, self._lines, strict=False):
            if other is not child:
                yield lines.receiver

    def _be_worker(self, index: int) -> int:
        post = Post(
            self._share_of(self._config),
            self._front,
            self._https[index],
            self._http[index],
            self._stdout.write,
            self._generation,
            self._notifier.watchdog_seconds,
            self._lines[index] if self._lines else None,
        )
        return uvloop.run(work(post, self._there))

    def _be_steward(self) -> int:
        stewardship = Stewardship(
            Generation(self._generation, self._config, self._identities),
            len(self._workers),
            self._read,
            self._metrics,
            self._clock,
            self._started,
            os.getppid(),
            is_first=not self._restarts["steward"],
        )
        return uvloop.run(keep(stewardship, self._there))

    def _connect(self, worker: Child) -> None:
        """Give a worker and the steward a channel, if both are there."""
        if not worker.pid or not self._steward.pid:
            return
        worker.channel += 1
        ends = channel_pair()
        order: dict[str, object] = {
            "do": "channel",
            "worker": self._workers.index(worker),
            "number": worker.channel,
            "pid": worker.pid,
        }
        self._steward.tell(order, ends[0].fileno())
        worker.tell({"do": "channel"}, ends[1].fileno())
        close_all(ends)

    # --- ending ---------------------------------------------------------------------------------

    def _ended(self, pid: int, status: int) -> None:
        child = next((each for each in self._places() if each.pid == pid), None)
        if child is None:
            return
        was_ready = child.is_ready
        if child.link is not None:
            self._selector.unregister(child.link)
        child.ended(self._clock.monotonic())
        if self._phase == "draining":
            if status:
                log.error("%s, process %d, %s", child.name, pid, how_it_ended(status))
            return
        log.error("%s, process %d, %s", child.name, pid, how_it_ended(status))
        self._restarts["steward" if child is self._steward else "worker"] += 1
        if child is self._steward:
            self._tell_reloading(is_reloading=False)
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
        self._phase = "draining"
        self._announce("draining")
        self._notifier.stopping()
        self._close_listeners()
        self._deadline = (
            self._clock.monotonic() + self._config.limits.drain_timeout + _GRACE_SECONDS
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
            self._kill_all()

    def _hurry(self) -> None:
        self._is_hurried = True
        self._deadline = self._clock.monotonic() + _HURRY_SECONDS
        for child in self._living():
            child.tell({"do": "hurry"})

    def _kill_all(self) -> None:
        """Leave nobody behind, and no zombie."""
        for child in self._living():
            os.kill(child.pid, signal.SIGKILL)
        for child in self._living():
            os.waitpid(child.pid, 0)
            child.pid = 0
            child.unlink()

    # --- small ----------------------------------------------------------------------------------

    def _places(self) -> Sequence[Child]:
        return (self._steward, *self._workers)

    def _share_of(self, config: Config) -> Config:
        return slices.share_of_worker(config, len(self._workers))

    def _living(self) -> list[Child]:
        return [each for each in self._places() if each.pid]

    def _tell_state(self) -> None:
        self._steward.tell(
            {
                "do": "state",
                "phase": self._phase,
                "worker_restarts": self._restarts["worker"],
                "steward_restarts": self._restarts["steward"],
            }
        )

    def _say_where(self) -> None:
        for sock in self._https[0]:
            self._announce(f"listening on https://{_shown(sock)} (h2, http/1.1)")
        for sock in self._http[0]:
            self._announce(f"listening on http://{_shown(sock)} (redirects to https)")
        for sock in self._metrics:
            self._announce(f"listening on http://{_shown(sock)} (metrics)")


def _shown(sock: socket.socket) -> str:
    host, port = name_of(sock)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
