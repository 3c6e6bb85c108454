"""An identity whose staples are kept fresh, for as long as somebody wants it.

Each new staple makes a new identity value; `on_change` is told. Knows nothing of files and of who
is served.
"""

import asyncio
import logging
from collections.abc import Callable

from edgeproxy.tls.credential import Credential
from edgeproxy.tls.identity import Identity
from edgeproxy.tls.ocsp.certificate import must_staple
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.stapler import Stapler

log = logging.getLogger(__name__)

StaplerFactory = Callable[[str, Credential], Stapler]
"""Makes the stapler of one credential; takes the identity's name."""


class Tended:
    """One identity and the staplers of its credentials.

    Without a factory (stapling is off) nothing is ever stapled and nothing is missed.
    """

    def __init__(self, identity: Identity, stapler_of: StaplerFactory | None) -> None:
        self.identity = identity
        self.staplers: dict[str, Stapler] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_kept_fresh = False
        if stapler_of is not None:
            self.staplers = {
                each.fingerprint: stapler_of(identity.name, each) for each in identity.credentials
            }

    async def obtain(self, deadline_seconds: float, now: float) -> None:
        """Get the staples that are missing within that time, from disk or from responders."""
        async with asyncio.TaskGroup() as group:
            tasks = {
                fingerprint: group.create_task(stapler.obtain(deadline_seconds))
                for fingerprint, stapler in self.staplers.items()
                if not _is_usable(self._staple_of(fingerprint), now)
            }
        staples = {fingerprint: task.result() for fingerprint, task in tasks.items()}
        self.identity = self.identity.with_staples(staples)

    def lacks_staple(self, now: float) -> bool:
        """Whether a certificate of it must be stapled and is not (RFC 7633)."""
        return any(
            must_staple(each.leaf) and not _is_usable(each.staple, now)
            for each in self.identity.credentials
            if each.fingerprint in self.staplers
        )

    def keep_fresh(self, on_change: Callable[["Tended"], object]) -> None:
        """Begin to refresh the staples, until `close`; once, however often it is called."""
        if self._is_kept_fresh:
            return
        self._is_kept_fresh = True
        for fingerprint, stapler in self.staplers.items():
            publish = self._publisher(fingerprint, on_change)
            task = asyncio.get_running_loop().create_task(
                stapler.keep_fresh(self._staple_of(fingerprint), publish)
            )
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def close(self) -> None:
        """Stop refreshing; the identity stays as it is."""
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Stop refreshing and wait for the end of it."""
        tasks = list(self._tasks)
        self.close()
        if tasks:
            await asyncio.wait(tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error(
                "%s: its staple is not refreshed any more", self.identity.name, exc_info=error
            )

    def _staple_of(self, fingerprint: str) -> Staple | None:
        return next(
            each.staple for each in self.identity.credentials if each.fingerprint == fingerprint
        )

    def _publisher(
        self, fingerprint: str, on_change: Callable[["Tended"], object]
    ) -> Callable[[Staple | None], None]:
        def publish(staple: Staple | None) -> None:
            self.identity = self.identity.with_staples({fingerprint: staple})
            on_change(self)

        return publish


def _is_usable(staple: Staple | None, now: float) -> bool:
    return staple is not None and staple.is_usable(now)
