"""Keeps one leaf's staple fresh, for as long as its owner runs it.

Disk first, then the network; publishes every new staple, and None when the time of the last one has
come or its leaf is revoked. Holds no connection and no task; never on the way of a handshake. Says
each change of state once, in a line that names identity, responder and reason. A leaf without a
responder is left alone in silence.

Invariants: an older response never replaces a newer one; a revoked leaf's staple leaves the disk;
what is published is usable at that moment.
"""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, NoReturn, Protocol

from cryptography import x509

from edgeproxy.clock import Clock
from edgeproxy.tls.ocsp.certificate import must_staple, responder_url
from edgeproxy.tls.ocsp.refusal import Refusal, Refused
from edgeproxy.tls.ocsp.schedule import next_attempt, refresh_at
from edgeproxy.tls.ocsp.shelf import Shelf
from edgeproxy.tls.ocsp.staple import Staple

_log = logging.getLogger(__name__)

GOOD: Final = "good"
# Sleeps are cut to the margin of `verification`, so that a clock that is set, or a machine that
# was suspended, cannot carry us past the end of a staple unseen.
_SLEEP_SECONDS_MAX: Final = 300.0
# Behind the deadlines of `Responder`, in case that they should not hold.
_FETCH_SECONDS_MAX: Final = 30.0
# Ours: a must-staple leaf whose staple has less than this share of its time left is an emergency.
_ALARM_SHARE: Final = 0.25


class Fetches(Protocol):
    """Whoever asks a responder; `Responder` in the product."""

    async def fetch(
        self, leaf: x509.Certificate, issuer: x509.Certificate, now: float
    ) -> Staple | Refused:
        """Return a staple for the leaf that is good at `now`, or why there is none."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How the refresh of one leaf goes; times are seconds since the epoch.

    `last_result` is "good" or a `Refusal`; None as long as nobody was asked.
    """

    responder: str | None
    must_staple: bool
    last_result: str | None = None
    last_attempt: float | None = None
    next_attempt: float | None = None


class Stapler:
    """The refresh of one leaf; `name` is its identity's, for the log.

    `random` draws from [0, 1); `on_result` counts results ("good" or a `Refusal`).
    """

    def __init__(
        self,
        name: str,
        leaf: x509.Certificate,
        issuer: x509.Certificate | None,
        *,
        responder: Fetches,
        shelf: Shelf | None,
        clock: Clock,
        random: Callable[[], float],
        on_result: Callable[[str], object],
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._name = name
        self._leaf = leaf
        self._issuer = issuer
        self._responder = responder
        self._shelf = shelf
        self._clock = clock
        self._random = random
        self._on_result = on_result
        self._sleep = sleep
        self._staple: Staple | None = None
        self._fruitless = 0
        self._revoked_at = -math.inf
        self._is_alarmed = False
        self.progress = Progress(responder_url(leaf), must_staple(leaf))

    async def obtain(self, deadline_seconds: float) -> Staple | None:
        """Return a staple to begin with: from disk, or in that many seconds from the responder.

        What is on disk and usable is returned at once: no start waits for the network then, and
        `keep_fresh` begins by asking where it is time to.
        """
        if (issuer := self._askable()) is None:
            return None
        if self._shelf is not None:
            self._staple = await asyncio.to_thread(
                self._shelf.load, self._leaf, issuer, self._clock.now()
            )
        if self._staple is None:
            await self._store(await self._ask(issuer, deadline_seconds))
        else:
            self._plan_renewal(self._staple)
        return self._staple

    async def keep_fresh(
        self, staple: Staple | None, publish: Callable[[Staple | None], object]
    ) -> None:
        """Refresh until cancelled; `staple` is what is being handed out now.

        Returns at once if there is nobody to ask. What `publish` raises ends it.
        """
        if (issuer := self._askable()) is None:
            return
        if staple is not self._staple or self.progress.next_attempt is None:
            self._staple = staple
            self._plan()
        await self._refresh(issuer, publish)

    async def _refresh(
        self, issuer: x509.Certificate, publish: Callable[[Staple | None], object]
    ) -> NoReturn:
        published = self._staple
        while True:
            await self._sleep(self._pause())
            self._expire()
            is_due = self._due() <= self._clock.now()
            result = await self._ask(issuer, _FETCH_SECONDS_MAX) if is_due else None
            self._warn_of_the_end()
            if self._staple is not published:
                published = self._staple
                publish(published)
            await self._store(result)  # last: a disk that hangs must not hold anything back

    async def _ask(self, issuer: x509.Certificate, deadline_seconds: float) -> Staple | Refused:
        began = self._clock.now()
        try:
            async with asyncio.timeout(deadline_seconds):
                result = await self._responder.fetch(self._leaf, issuer, began)
        except TimeoutError:
            result = Refused(Refusal.TIMEOUT, f"nothing within {deadline_seconds:g} s")
        if isinstance(result, Staple) and result.this_update <= self._revoked_at:
            # a cache that has not heard of it yet; a hold that is released is newer
            result = Refused(Refusal.REVOKED, "as was said before an older response came")
        self._settle(result, began)
        return result

    async def _store(self, result: Staple | Refused | None) -> None:
        if self._shelf is None or result is None:
            return
        if isinstance(result, Staple):
            if result is self._staple:  # not an older one
                await asyncio.to_thread(self._shelf.save, self._leaf, result)
        elif result.reason is Refusal.REVOKED:
            await asyncio.to_thread(self._shelf.discard, self._leaf)

    def _settle(self, result: Staple | Refused, began: float) -> None:
        if isinstance(result, Refused):
            word = result.reason.value
            self._fruitless += 1
            if result.reason is Refusal.REVOKED:
                self._staple, self._revoked_at = None, max(self._revoked_at, began)
        else:
            word = GOOD
            # Caches in front of responders hand out the same response until it ends (RFC 5019
            # section 6): that is no failure, but asking every minute would not make it younger.
            is_newer = self._staple is None or result.this_update > self._staple.this_update
            self._fruitless = 0 if is_newer else self._fruitless + 1
            if is_newer:
                self._staple, self._is_alarmed = result, False
        self._say(result, word)
        self.progress = replace(self.progress, last_result=word, last_attempt=began)
        self._on_result(word)
        self._plan()

    def _plan(self) -> None:
        fruitless = self._fruitless
        if self._staple is None and self.progress.must_staple and self._revoked_at == -math.inf:
            fruitless = min(fruitless, 1)  # somebody is not served until then: no longer waits
        at = next_attempt(self._staple, fruitless, self._clock.now(), self._random())
        self.progress = replace(self.progress, next_attempt=at)

    def _plan_renewal(self, staple: Staple) -> None:
        """Plan what nobody has tried yet: a renewal whose time has passed is due now."""
        at = refresh_at(staple, staple.this_update, self._random())
        self.progress = replace(self.progress, next_attempt=max(at, self._clock.now()))

    def _due(self) -> float:
        now, last, at = self._clock.now(), self.progress.last_attempt, self.progress.next_attempt
        if at is None or (last is not None and last > now + _SLEEP_SECONDS_MAX):
            return now  # the clock has been set back: what was planned is far away
        return at

    def _pause(self) -> float:
        until = self._due()
        if self._staple is not None:
            until = min(until, self._staple.usable_until)
        return max(0.0, min(until - self._clock.now(), _SLEEP_SECONDS_MAX))

    def _expire(self) -> None:
        if self._staple is None or self._staple.is_usable(self._clock.now()):
            return
        self._staple = None
        _log.log(
            logging.ERROR if self.progress.must_staple else logging.WARNING,
            "%s: the staple from %s has expired (%s); nothing is stapled",
            self._name,
            self.progress.responder,
            self.progress.last_result,
        )

    def _warn_of_the_end(self) -> None:
        """Raise the alarm, once a staple, when a leaf that needs one is about to lose it."""
        staple = self._staple
        if (
            self._is_alarmed
            or staple is None
            or not (self.progress.must_staple and self._fruitless)
        ):
            return
        left = staple.usable_until - self._clock.now()
        if left < _ALARM_SHARE * (staple.usable_until - staple.this_update):
            self._is_alarmed = True
            _log.error(
                "%s: must be stapled, and its staple ends in %.0f minutes (%s: %s)",
                self._name,
                left / 60,
                self.progress.responder,
                self.progress.last_result,
            )

    def _say(self, result: Staple | Refused, word: str) -> None:
        """Log the result unless it is the same as the last one."""
        if word == self.progress.last_result:
            return
        who, whom = self._name, self.progress.responder
        if isinstance(result, Staple):
            _log.info("%s: stapled from %s until %s", who, whom, _date(result.usable_until))
        elif result.reason is Refusal.REVOKED:
            _log.error("%s: %s says REVOKED %s; nothing is stapled", who, whom, result.detail)
        elif self._staple is not None:
            until = _date(self._staple.usable_until)
            _log.warning("%s: %s: %s; stapled until %s as before", who, whom, result, until)
        else:
            level = logging.ERROR if self.progress.must_staple else logging.WARNING
            _log.log(level, "%s: %s: %s; nothing is stapled", who, whom, result)

    def _askable(self) -> x509.Certificate | None:
        """Return the issuer if there is somebody to ask; says once if that is a misfortune."""
        progress = self.progress
        if progress.responder is not None and self._issuer is not None:
            return self._issuer
        if progress.responder is None:
            if not progress.must_staple:
                return None
            refused = Refused(Refusal.NO_RESPONDER, "must be stapled, but names no responder")
        else:
            refused = Refused(Refusal.NO_ISSUER, "the chain has no issuer, and no file names it")
        if progress.last_result is None:
            self._say(refused, refused.reason.value)
            self.progress = replace(progress, last_result=refused.reason.value)
            self._on_result(refused.reason.value)
        return None


def _date(moment: float) -> str:
    return f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC"
