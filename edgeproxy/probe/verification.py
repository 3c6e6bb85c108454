"""The matrix: every address, under every name, for every type of key, into one report.

At most a few targets at one time, each handshake under a deadline; what fails is part of the
report and stops nothing else. An address whose name does not resolve is reported like one that
does not answer.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from edgeproxy.clock import Clock
from edgeproxy.probe.addresses import Address, resolve
from edgeproxy.probe.findings import Expectations, Finding, findings
from edgeproxy.probe.handshake import Handshakes, Observation, Stage
from edgeproxy.probe.inspection import Credential, Inspection, Target, inspect
from edgeproxy.probe.offers import Contexts, KeyType
from edgeproxy.probe.staples import StapleState

# A probe that floods its own edges would measure itself; 16 finish a hundred addresses in seconds.
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Report:
    """What was seen, in the order in which it was asked for, and what is wrong with it."""

    inspections: tuple[Inspection, ...]
    findings: tuple[Finding, ...]
    now: float

    @property
    def is_fine(self) -> bool:
        """Whether everything is valid and the same everywhere."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask for. Without `names`, a host name is asked for itself; no key types: any."""

    addresses: tuple[Address, ...]
    names: tuple[str, ...] = ()
    key_types: tuple[KeyType, ...] = ()
    expected: Expectations = field(default_factory=Expectations)
    timeout_seconds: float = 5.0


Progress = Callable[[int, int], None]
"""Is told how many targets of how many are done."""


async def verify(
    question: Question,
    contexts: Contexts,
    clock: Clock,
    *,
    progress: Progress = lambda _done, _all: None,
) -> Report:
    """Ask every address, and compare."""
    now = clock.now()
    handshakes = Handshakes(contexts, clock, timeout_seconds=question.timeout_seconds)
    places = asyncio.Semaphore(_AT_ONCE)
    targets = await _targets(question, places)
    done: dict[int, Inspection] = {}

    async def ask(index: int, target: Target) -> None:
        async with places:
            done[index] = await inspect(target, handshakes, wanted=question.key_types, now=now)
            progress(len(done), len(targets))

    progress(0, len(targets))
    async with asyncio.TaskGroup() as group:
        for index, target in enumerate(targets):
            if isinstance(target, Inspection):
                done[index] = target
            else:
                group.create_task(ask(index, target))
    inspections = tuple(done[index] for index in range(len(targets)))
    return Report(inspections, tuple(findings(inspections, question.expected, now)), now)


async def _targets(question: Question, places: asyncio.Semaphore) -> list[Target | Inspection]:
    """Return what to ask, and what is already known not to answer."""

    async def one(address: Address) -> list[Target | Inspection]:
        try:
            async with places, asyncio.timeout(question.timeout_seconds):
                found = await resolve(address)
        except TimeoutError:
            return [_unresolved(address, "its name was not resolved in time")]
        except (OSError, UnicodeError):
            return [_unresolved(address, "its name does not resolve")]
        return [
            Target(address, each, sni) for each in found for sni in _names(question.names, address)
        ]

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(address)) for address in question.addresses]
    return [target for task in tasks for target in task.result()]


def _names(names: Sequence[str], address: Address) -> Sequence[str | None]:
    return names or (None if address.is_literal else address.host,)


def _unresolved(address: Address, reason: str) -> Inspection:
    seen = Observation(Stage.CONNECT, reason)
    target = Target(address, address, None if address.is_literal else address.host)
    return Inspection(target, (Credential("any", seen, StapleState("none")),))
