"""Waits for changes of files, by inotify where it works and by the clock in any case.

Renewal replaces a file, a link or a whole folder, so folders are watched and not files. It knows
nothing of what is in them: whoever is woken looks for himself.
"""

import asyncio
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Final

from watchfiles import awatch

log = logging.getLogger(__name__)

LOOK_SECONDS: Final = 60.0
"""Ours: how often to look where no event comes: network file systems have none, a bind mount may
lose them, and a certificate that was not valid yet becomes so without one."""

# A renewal writes chain and key within milliseconds of each other: one look for both.
_SETTLED_MILLISECONDS: Final = 100
_UNSETTLED_MILLISECONDS_MAX: Final = 1000


class Watcher:
    """Wakes whoever waits when something changes in `folders`, which are named anew each time."""

    def __init__(
        self, folders: Callable[[], Iterable[Path]], *, look_seconds: float = LOOK_SECONDS
    ) -> None:
        self._folders = folders
        self._look_seconds = look_seconds
        self._is_deaf = False

    async def woken(self) -> None:
        """Return when something has changed since the first step of this coroutine, or in time."""
        try:
            folders = {place for folder in self._folders() for place in _watchable(folder)}
            changes = awatch(
                *folders,
                watch_filter=None,
                debounce=_UNSETTLED_MILLISECONDS_MAX,
                step=_SETTLED_MILLISECONDS,
                rust_timeout=int(self._look_seconds * 1000),
                yield_on_timeout=True,
                recursive=False,
            )
            async with aclosing(changes):
                async for _ in changes:
                    return
        except (OSError, RuntimeError) as error:  # inotify's limits, a folder that has just gone
            if not self._is_deaf:
                self._is_deaf = True
                log.warning(
                    "certificates cannot be watched (%s): looking every %g s instead",
                    error,
                    self._look_seconds,
                )
            await asyncio.sleep(self._look_seconds)


def _watchable(folder: Path) -> Iterator[Path]:
    """Yield the folder, or where it will be seen when it comes or is opened to us.

    One folder that cannot be watched would leave all of them unwatched.
    """
    for place in (folder, folder.parent):
        if os.access(place, os.R_OK, effective_ids=True) and place.is_dir():
            yield place
            return
