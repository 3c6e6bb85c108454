"""A keeper of identities on real files, with a responder and a sleep in the test's hands."""

import asyncio
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from edgeproxy.identities.keeper import Keeper
from edgeproxy.observe.counters import Counters
from edgeproxy.tls.credential import Credential
from edgeproxy.tls.files import pairs_in
from edgeproxy.tls.identity import Identity, IdentitySource, load_identity
from edgeproxy.tls.ocsp.refusal import Refusal, Refused
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.stapler import Stapler
from tests.support.barrier import Barrier
from tests.support.ca import Leaf, LocalCa
from tests.support.clock import ManualClock

DAY = 86_400.0
REFUSED = Refused(Refusal.TRY_LATER)


class Responders:
    """Stands at the network's place; `answer` is what everybody gets, None: a good staple."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.answer: Refused | None = None
        self.asked: list[str] = []
        self.slept = Barrier()  # all who refresh wait here
        self.gate = Barrier()  # all who ask pass here
        self.gate.open()

    async def fetch(self, leaf, issuer, now) -> Staple | Refused:
        self.asked.append(leaf.subject.rfc4514_string())
        await self.gate.passed()
        return self.answer or Staple(b"%d" % leaf.serial_number, now, now + 4 * DAY, now + 3 * DAY)

    async def sleep(self, _seconds: float) -> None:
        barrier = self.slept
        await barrier.passed()

    async def wake(self, seconds: float) -> None:
        """Let time pass for all who sleep, each once."""
        await self.slept.reached()
        self.clock.advance(seconds)
        before, self.slept = self.slept, Barrier()
        before.open()
        await self.slept.reached()

    def stapler_of(self, name: str, credential: Credential) -> Stapler:
        return Stapler(
            name,
            credential.leaf,
            credential.issuer,
            responder=self,
            shelf=None,
            clock=self.clock,
            random=lambda: 0.5,
            on_result=lambda _: None,
            sleep=self.sleep,
        )


class Stand:
    """One identity in a folder of its own, and what the keeper publishes of it."""

    def __init__(self, folder: Path, *, name: str = "www.test", **leaf) -> None:
        self.clock = ManualClock(float(int(time.time())))
        self.root = LocalCa(folder / "ca")
        self.ca = self.root.intermediate()
        self.name = name
        self.folder = folder / "certs" / name
        self.responders = Responders(self.clock)
        self.counters = Counters()
        self.published: list[tuple[tuple[Identity, ...], tuple[str, ...]]] = []
        self.changed = asyncio.Event()  # published for the second time
        self.meanwhile: Callable[[], object] = lambda: None  # while files may be half renewed
        self.issue(**leaf)

    def _publish(self, identities: Sequence[Identity], withheld: Sequence[str]) -> None:
        if self.published:
            self.changed.set()
        self.published.append((tuple(identities), tuple(withheld)))

    async def _settle(self, _seconds: float) -> None:
        self.meanwhile()

    def issue(self, *names: str, **how) -> Leaf:
        return self.ca.issue(*(names or (self.name,)), directory=self.folder, **how)

    def keeper(
        self, *, staples: bool = True, overlap_seconds: float = 3600.0, names_files: bool = False
    ) -> Keeper:
        """Keep the folder, or only the files that are in it now (`names_files`)."""
        folder = None if names_files else self.folder
        source = IdentitySource(self.name, pairs_in(self.folder), (self.name,), folder)
        identity = load_identity(source.pairs, name=self.name)
        return Keeper(
            [(source, identity)],
            self._publish,
            stapler_of=self.responders.stapler_of if staples else None,
            clock=self.clock,
            counters=self.counters,
            overlap_seconds=overlap_seconds,
            sleep=self._settle,
        )

    @property
    def live(self) -> Identity:
        (identity,), _ = self.published[-1]
        return identity

    @property
    def withheld(self) -> tuple[str, ...]:
        return self.published[-1][1]

    @property
    def loads(self) -> dict[str, int]:
        return {result: n for (_, result), n in self.counters.certificate_loads.items()}
