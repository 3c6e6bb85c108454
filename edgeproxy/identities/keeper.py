"""Keeps the identities of a point of presence: loads, staples, watches, swaps, goes back.

A new identity is proven as a whole before it is live, and swapped for all connections to come in
one step; those that have begun keep theirs. What cannot be used changes nothing: the old identity
goes on, a line in the log and a count say why. Never on the way of a handshake: it hands out
frozen values by `publish`. It listens nowhere and reads no configuration.

Invariants: one change at a time; a must-staple identity is not served before it has a staple; each
content of the files is judged once, but what could not be used is tried again as time passes; half
of a renewal is no fault.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Literal

from edgeproxy.clock import Clock
from edgeproxy.errors import CertificateError
from edgeproxy.identities.document import days_left, describe, document
from edgeproxy.identities.held import Held, Load, LoadResult, Previous, is_same, look_at
from edgeproxy.identities.tended import StaplerFactory, Tended
from edgeproxy.identities.watching import Watcher
from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import CertificateFacts
from edgeproxy.tls.identity import Identity, IdentitySource, check_covers

log = logging.getLogger(__name__)

# Before a certificate is used for the first time a responder has so long: it is asked again later.
FIRST_STAPLE_SECONDS: Final = 5.0
# What cannot be used may be half of a renewal: it is looked at again after this time, which is
# longer than what lies between two files of one renewal, and said only if it stays. Whoever is told
# to look, by a signal or the socket, comes at any moment; the watch waits by itself.
SETTLED_SECONDS: Final = 0.2
# Whoever goes on writing is told what is wrong with what there is now; the watch will look again.
_LOOKS_MAX: Final = 5
# Behind a look that failed, so that a fault that stays costs nothing.
_PAUSE_SECONDS: Final = 1.0
# When to say that a certificate is about to expire. ACME clients renew at 30 days.
_WARN_DAYS: Final = (14, 7, 3, 1, 0)

Publish = Callable[[Sequence[Identity], Sequence[str]], object]
"""Takes the identities for new connections, and the names that must not be served now."""


class Keeper:
    """All identities; `start` before the first connection, `aclose` in every case.

    `held` pairs each source with what was loaded of it. `stapler_of` is None where stapling is off.
    `overlap_seconds` is how long a replaced identity is kept to go back to.
    """

    def __init__(
        self,
        identities: Iterable[tuple[IdentitySource, Identity]],
        publish: Publish,
        *,
        stapler_of: StaplerFactory | None,
        clock: Clock,
        counters: Counters,
        overlap_seconds: float,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        now = clock.now()
        self._sleep = sleep
        self._publish_all = publish
        self._stapler_of = stapler_of
        self._clock = clock
        self._counters = counters
        self._overlap_seconds = overlap_seconds
        self._held = {
            source.name: Held(source, Tended(identity, stapler_of), now)
            for source, identity in identities
        }
        self._one_change = asyncio.Lock()
        self._watcher = Watcher(self._folders)
        self._watching: asyncio.Task[None] | None = None
        self._has_other_sources = asyncio.Event()

    async def start(self) -> None:
        """Staple what can be stapled, publish, and begin to watch and refresh."""
        now = self._clock.now()
        async with asyncio.TaskGroup() as group:
            for held in self._held.values():
                group.create_task(held.live.obtain(FIRST_STAPLE_SECONDS, now))
        for held in self._held.values():
            self._note(held, "loaded")
            held.is_withheld = held.live.lacks_staple(now)
            if held.is_withheld:
                self._keep(
                    held, "it must be stapled, and there is no staple: its names are refused"
                )
            self._warn_of_the_end(held, now)
        self._publish()
        for held in self._held.values():
            held.live.keep_fresh(partial(self._on_staple, held))
        self._watching = asyncio.get_running_loop().create_task(self._watch())

    async def aclose(self) -> None:
        """Stop watching and refreshing."""
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait({self._watching})
        for held in self._held.values():
            await held.live.aclose()
            if held.pending is not None:
                await held.pending.aclose()

    def live(self) -> dict[str, tuple[IdentitySource, Identity]]:
        """Return each source with what is live of it, by name."""
        return {held.name: (held.source, held.live.identity) for held in self._held.values()}

    async def tend(
        self, identities: Iterable[Identity], stapler_of: StaplerFactory | None
    ) -> dict[str, Tended]:
        """Staple identities that are to be adopted, by name; changes nothing that is live."""
        now = self._clock.now()
        tended = {each.name: Tended(each, stapler_of) for each in identities}
        async with asyncio.TaskGroup() as group:
            for each in tended.values():
                group.create_task(each.obtain(FIRST_STAPLE_SECONDS, now))
        return tended

    def adopt(
        self,
        sources: Iterable[IdentitySource],
        fresh: Mapping[str, Tended],
        *,
        stapler_of: StaplerFactory | None,
        overlap_seconds: float,
    ) -> None:
        """Keep these sources from now on, and publish; `fresh` is of those that are not kept yet.

        A source that is kept goes on with what is live of it; one that is gone is refreshed and
        watched no longer, and connections that show it go on.
        """
        self._stapler_of, self._overlap_seconds = stapler_of, overlap_seconds
        before, self._held = self._held, {}
        for source in sources:
            held = before.get(source.name)
            if source.name in fresh or held is None:
                self._held[source.name] = self._begun(source, fresh[source.name])
            else:
                held.source = source
                self._held[source.name] = held
        for held in before.values():
            if self._held.get(held.name) is not held:
                self._drop_pending(held)
                held.live.close()
        self._publish()
        for held in self._held.values():
            held.live.keep_fresh(partial(self._on_staple, held))
        self._has_other_sources.set()

    def _begun(self, source: IdentitySource, tended: Tended) -> Held:
        now = self._clock.now()
        held = Held(source, tended, now)
        self._note(held, "loaded")
        held.is_withheld = tended.lacks_staple(now)
        if held.is_withheld:
            self._keep(held, "it must be stapled, and there is no staple: its names are refused")
        self._warn_of_the_end(held, now)
        return held

    async def reload(self) -> None:
        """Look at all files; load what has changed and swap what can be used."""
        async with self._one_change:
            for held in list(self._held.values()):
                await self._look(held)

    async def revert(self, name: str) -> Literal["reverted", "unknown-name", "nothing-kept"]:
        """Go back to the previous identity of that name; what was live can be gone back to, too.

        The files are left alone, and ignored until they change.
        """
        async with self._one_change:
            held = self._held.get(name)
            if held is None:
                return "unknown-name"
            now = self._clock.now()
            previous = held.previous_now(now)
            if previous is None or previous.not_after.timestamp() <= now:
                return "nothing-kept"
            tended = Tended(previous, self._stapler_of)
            await tended.obtain(FIRST_STAPLE_SECONDS, now)
            if tended.lacks_staple(now) or self._held.get(name) is not held:
                return "nothing-kept"
            self._drop_pending(held)
            self._swap(held, tended, "reverted")
            return "reverted"

    def status(self) -> dict[str, object]:
        """Describe every identity, ready for JSON."""
        return document(self._held.values(), self._clock.now())

    def status_of(self, name: str) -> dict[str, object]:
        """Describe one identity, ready for JSON; the name must be known."""
        return describe(self._held[name], self._clock.now())

    def fingerprints(self) -> set[str]:
        """Return those of all certificates that are live."""
        return {
            each.fingerprint
            for held in self._held.values()
            for each in held.live.identity.credentials
        }

    def facts(self) -> tuple[CertificateFacts, ...]:
        """Return what metrics say of the certificates that new connections get."""
        return tuple(
            CertificateFacts(
                held.name,
                each.kind,
                each.not_before.timestamp(),
                each.not_after.timestamp(),
                None if each.staple is None else each.staple.this_update,
                None if each.staple is None else each.staple.next_update,
                held.is_withheld,
            )
            for held in self._held.values()
            for each in held.live.identity.credentials
        )

    # --- files ----------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            self._has_other_sources.clear()
            loop = asyncio.get_running_loop()
            woken = loop.create_task(self._watcher.woken())
            told = loop.create_task(self._has_other_sources.wait())
            try:
                await asyncio.sleep(0)  # it listens now: what changes from here on wakes it
                is_well = await self._look_at_all()
                if is_well:
                    await asyncio.wait({woken, told}, return_when=asyncio.FIRST_COMPLETED)
                else:
                    await asyncio.sleep(_PAUSE_SECONDS)
                if woken.done():
                    woken.result()
            finally:
                # Not a TaskGroup: in 3.11 it loses a cancellation that meets an exception.
                woken.cancel()
                told.cancel()
                await asyncio.wait({woken, told})

    async def _look_at_all(self) -> bool:
        """Look at all files; the watch is for the life of the process, whatever happens."""
        try:
            await self.reload()
        except Exception:
            log.exception("looking for new certificates failed")
            return False
        return True

    def _folders(self) -> set[Path]:
        """Return where renewals are seen: a link's own folder, and the one that it leads to."""
        found: set[Path] = set()
        for held in self._held.values():
            source = held.source
            if source.folder is not None:
                found |= {source.folder, source.folder.parent}
            for pair in source.pairs_now():
                for path in pair.paths:
                    found |= {path.parent, _real_folder(path)}
        return found

    async def _look(self, held: Held) -> None:
        """Load an identity's files if they have changed, or could not be used the last time."""
        now = self._clock.now()
        held.previous_now(now)
        self._warn_of_the_end(held, now)
        try:
            candidate = await self._settled(held, now)
        except CertificateError as error:
            self._fail(held, str(error))
            return
        if candidate is None:
            return
        if not is_same(candidate, held.live.identity):
            try:
                await self._take_up(held, candidate)
            except asyncio.CancelledError:
                held.seen = b""  # whoever asked for it has gone: the next look takes it up
                raise
            return
        self._drop_pending(held)
        if held.last_load.result == "failed":
            self._note(held, "loaded", "the files hold what is live")

    async def _settled(self, held: Held, now: float) -> Identity | None:
        """Load what the files hold; None if that was judged before.

        Raises:
            CertificateError: they cannot be used, and not because they are just being renewed.
        """
        latest, fault = held.seen, None
        for _ in range(_LOOKS_MAX):
            pairs = held.source.pairs_now()
            look = await asyncio.to_thread(look_at, pairs)
            is_new, latest = look.digest != latest, look.digest
            if not is_new and (fault is not None or held.last_load.result != "failed"):
                break
            try:
                candidate = await asyncio.to_thread(look.load, pairs, held.name, now)
                check_covers(candidate, filter(held.live.identity.covers, held.source.hosts))
            except CertificateError as error:
                fault = error
                if not is_new:
                    break
                await self._sleep(SETTLED_SECONDS)
            else:
                held.seen = look.digest
                return candidate
        held.seen = latest
        if fault is not None:
            raise fault
        return None

    async def _take_up(self, held: Held, candidate: Identity) -> None:
        """Make a proven identity live, or let it wait for the staple that it must have."""
        staples = {
            each.fingerprint: each.staple for each in held.live.identity.credentials if each.staple
        }
        tended = Tended(candidate.with_staples(staples), self._stapler_of)
        await tended.obtain(FIRST_STAPLE_SECONDS, self._clock.now())
        if self._held.get(held.name) is not held:
            return  # another configuration has come meanwhile, without this source
        self._drop_pending(held)
        for advice in candidate.advice:
            log.warning("%s: %s", held.name, advice)
        if not tended.lacks_staple(self._clock.now()):
            self._swap(held, tended, "loaded")
            return
        held.pending = tended
        self._keep(held, "the new certificate must be stapled, and there is no staple yet")
        tended.keep_fresh(partial(self._on_staple, held))

    # --- changes of state -----------------------------------------------------------------------

    def _swap(self, held: Held, tended: Tended, result: LoadResult) -> None:
        """Make `tended` live for all connections to come; what was live can be gone back to."""
        now = self._clock.now()
        before = held.live
        before.close()
        if not held.is_withheld:
            held.previous = Previous(before.identity, now + self._overlap_seconds)
        held.live, held.is_withheld, held.active_since = tended, False, now
        held.warned_days = None
        self._publish()
        tended.keep_fresh(partial(self._on_staple, held))
        self._counters.certificate_swaps[held.name] += 1
        self._note(held, result)
        log.info(
            "%s: %s, now %s, was %s",
            held.name,
            "gone back" if result == "reverted" else "certificate replaced",
            _shown(tended.identity),
            _shown(before.identity),
        )
        self._warn_of_the_end(held, now)

    def _on_staple(self, held: Held, tended: Tended) -> None:
        """Publish what has another staple; make live what only waited for one."""
        now = self._clock.now()
        if tended is held.pending and not tended.lacks_staple(now):
            held.pending = None
            self._swap(held, tended, "loaded")
        elif tended is held.live:
            if held.is_withheld and not tended.lacks_staple(now):
                held.is_withheld = False
                self._note(held, "loaded")
                log.info("%s: stapled, and served from now on", held.name)
            self._publish()

    def _drop_pending(self, held: Held) -> None:
        if held.pending is not None:
            held.pending.close()
            held.pending = None

    def _publish(self) -> None:
        identities = [held.live.identity for held in self._held.values()]
        withheld = [
            name
            for held in self._held.values()
            if held.is_withheld
            for name in held.live.identity.names
        ]
        self._publish_all(identities, withheld)

    def _fail(self, held: Held, detail: str) -> None:
        """Note that the files cannot be used; say and count it once for each content."""
        is_known = held.last_load.result == "failed" and held.last_load.detail == detail
        if not is_known or held.blamed != held.seen:
            held.blamed = held.seen
            self._note(held, "failed", detail)
            log.error("%s: the old certificate is kept: %s", held.name, detail)

    def _keep(self, held: Held, detail: str) -> None:
        self._note(held, "kept", detail)
        log.error("%s: %s", held.name, detail)

    def _note(self, held: Held, result: LoadResult, detail: str = "") -> None:
        held.last_load = Load(self._clock.now(), result, detail)
        self._counters.certificate_loads[held.name, result] += 1

    def _warn_of_the_end(self, held: Held, now: float) -> None:
        """Say once for each threshold that a certificate is about to expire."""
        left = days_left(held.live.identity, now)
        passed = [days for days in _WARN_DAYS if left < days or left < 0]
        if not passed or (held.warned_days is not None and passed[-1] >= held.warned_days):
            return
        held.warned_days = passed[-1]
        if left < 0:
            log.error("%s: the certificate has expired", held.name)
        else:
            log.warning("%s: the certificate expires in %.1f days", held.name, left)


def _real_folder(path: Path) -> Path:
    """Return the folder of what a path leads to; a link to itself leads nowhere."""
    try:
        return path.resolve().parent
    except (OSError, RuntimeError):
        return path.parent


def _shown(identity: Identity) -> str:
    return " and ".join(
        f"{each.kind} {each.fingerprint[:16]} until {each.not_after:%Y-%m-%d}"
        for each in identity.credentials
    )
