"""Joins the keeper of identities to a configuration, to responders, and to the control socket.

Decides nothing: `identities` does. The responders' client and the folder of staples belong to one
keeper and end with it.
"""

import asyncio
import os
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path

from edgeproxy.clock import Clock
from edgeproxy.config import compile as slices
from edgeproxy.config.certificates import Locate, load_others
from edgeproxy.config.schema import Config
from edgeproxy.control.certificates import Document, NotReverted, Reverted
from edgeproxy.errors import ConfigError, Problem
from edgeproxy.identities.keeper import Keeper, Publish
from edgeproxy.identities.tended import Tended
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import CertificateFacts
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.credential import Credential
from edgeproxy.tls.identity import Identity, IdentitySource
from edgeproxy.tls.ocsp.responder import Responder
from edgeproxy.tls.ocsp.shelf import Shelf
from edgeproxy.tls.ocsp.stapler import Stapler

STAPLES_FOLDER = "staples"


@dataclass(frozen=True, slots=True)
class IdentityPlan:
    """The sources of a configuration, and what was loaded of those that are not live, by name."""

    sources: tuple[IdentitySource, ...]
    fresh: Mapping[str, Identity]


@dataclass(frozen=True, slots=True)
class PreparedCertificates:
    """Identities that can be adopted without failing."""

    sources: tuple[IdentitySource, ...]
    tended: Mapping[str, Tended]
    is_stapling: bool
    overlap_seconds: float


def front_context(config: Config, identities: Sequence[Identity], clock: Clock) -> FrontContext:
    """Return the context that all connections begin on, with these identities for now."""
    return FrontContext(
        identities,
        parameters=slices.tls_parameters(config),
        unknown_name=config.tls.unknown_sni,
        no_name=config.tls.no_sni,
        clock=clock,
    )


def certificates(
    config: Config,
    identities: Iterable[tuple[IdentitySource, Identity]],
    publish: Publish,
    *,
    clock: Clock,
    counters: Counters,
) -> "Certificates":
    """Return who keeps these identities in the way that a configuration says."""
    return Certificates(
        list(identities),
        publish,
        folder=slices.state_directory(config, os.environ),
        is_stapling=config.tls.ocsp_stapling == "auto",
        overlap_seconds=config.tls.overlap,
        clock=clock,
        counters=counters,
    )


class Certificates:
    """The identities of a running PoP, and what can be asked of them (`CertificateControl`).

    `identities` pairs sources with what was loaded of them; `publish` makes them live. `folder` is
    where state is kept; `is_stapling` is what `tls.ocsp_stapling` says.
    """

    def __init__(
        self,
        identities: Sequence[tuple[IdentitySource, Identity]],
        publish: Publish,
        *,
        folder: Path,
        is_stapling: bool,
        overlap_seconds: float,
        clock: Clock,
        counters: Counters,
    ) -> None:
        self._clock = clock
        self._counters = counters
        self._is_stapling = is_stapling
        self._shelf = Shelf(folder / STAPLES_FOLDER)
        self._responder = Responder()
        self._stack = AsyncExitStack()
        self._keeper = Keeper(
            identities,
            publish,
            stapler_of=self._stapler_of if is_stapling else None,
            clock=clock,
            counters=counters,
            overlap_seconds=overlap_seconds,
        )

    async def start(self) -> None:
        """Staple, make everything live, and keep it so; to be called before the first client."""
        self._stack.push_async_callback(self._responder.aclose)
        self._stack.push_async_callback(self._keeper.aclose)
        await self._keeper.start()
        leaves = self._keeper.fingerprints()
        await asyncio.to_thread(self._shelf.prune, leaves, self._clock.now())

    async def aclose(self) -> None:
        """Stop watching files and asking responders."""
        await self._stack.aclose()

    async def prepare_of(self, config: Config, locate: Locate) -> "PreparedCertificates":
        """Load and staple what is new of a configuration; changes nothing that is live.

        Raises:
            ConfigError: a certificate cannot be used, or what replaces a live one has no staple.
        """
        live, now = self._keeper.live(), self._clock.now()
        plan = await asyncio.to_thread(
            lambda: IdentityPlan(*load_others(config, live, locate, now=now))
        )
        return await self.prepare(
            plan,
            is_stapling=config.tls.ocsp_stapling == "auto",
            overlap_seconds=config.tls.overlap,
        )

    async def prepare(
        self, plan: "IdentityPlan", *, is_stapling: bool, overlap_seconds: float
    ) -> "PreparedCertificates":
        """Staple what is new of a plan; changes nothing that is live.

        Raises:
            ConfigError: what would replace a live identity must be stapled, and is not.
        """
        fresh = dict(plan.fresh)
        if is_stapling != self._is_stapling:  # what is live gets, or loses, its staplers
            for name, (_, identity) in self._keeper.live().items():
                bare = identity.with_staples(dict.fromkeys(identity.fingerprints))
                fresh.setdefault(name, bare)
        wanted = {source.name for source in plan.sources}
        stapler_of = self._stapler_of if is_stapling else None
        tended = await self._keeper.tend(
            (each for each in fresh.values() if each.name in wanted), stapler_of
        )
        now, live = self._clock.now(), self._keeper.live()
        lacking = [name for name, each in tended.items() if name in live and each.lacks_staple(now)]
        if lacking:
            said = "the new certificate must be stapled, and there is no staple yet: try again"
            raise ConfigError([Problem("configuration", 0, name, said) for name in lacking])
        return PreparedCertificates(plan.sources, tended, is_stapling, overlap_seconds)

    def adopt(self, prepared: "PreparedCertificates") -> None:
        """Keep these identities from now on."""
        self._is_stapling = prepared.is_stapling
        self._keeper.adopt(
            prepared.sources,
            prepared.tended,
            stapler_of=self._stapler_of if prepared.is_stapling else None,
            overlap_seconds=prepared.overlap_seconds,
        )

    def live(self) -> dict[str, tuple[IdentitySource, Identity]]:
        """Return each source with what is live of it, by name."""
        return self._keeper.live()

    def facts(self) -> tuple[CertificateFacts, ...]:
        """Return what metrics say of certificates."""
        return self._keeper.facts()

    # --- control.certificates.CertificateControl ------------------------------------------------

    def status(self) -> Document:
        """Describe every identity; see `CertificateControl`."""
        return self._keeper.status()

    async def reload(self) -> Document:
        """Look at all files now; see `CertificateControl`."""
        await self._keeper.reload()
        return self._keeper.status()

    async def revert(self, name: str) -> Reverted | NotReverted:
        """Go back to the previous identity; see `CertificateControl`."""
        outcome = await self._keeper.revert(name)
        if outcome == "reverted":
            return Reverted(self._keeper.status_of(name))
        return NotReverted(outcome)

    def _stapler_of(self, name: str, credential: Credential) -> Stapler:
        return Stapler(
            name,
            credential.leaf,
            credential.issuer,
            responder=self._responder,
            shelf=self._shelf,
            clock=self._clock,
            random=random.random,
            on_result=self._counting(name),
        )

    def _counting(self, name: str) -> Callable[[str], None]:
        def count(result: str) -> None:
            self._counters.ocsp_fetches[name, result] += 1

        return count
