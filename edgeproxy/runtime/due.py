"""A reload that the main process owes to whoever asked for it, until it is told that it ended.

It is the steward who reloads. One that ends meanwhile leaves it to its successor, so often at most:
a configuration that takes stewards with it must not go on to. Pure.
"""

from typing import Final

DEATHS_MAX: Final = 3
"""Ours: stewards that may end in one reload; what ends the third one is the reload itself."""


class ReloadDue:
    """`is_wanted`: somebody asked, and no steward that lives has begun; `is_running`: one has."""

    def __init__(self) -> None:
        self.is_wanted = False
        self.is_running = False
        self._deaths = 0

    @property
    def is_open(self) -> bool:
        """Whether it is to be begun or ended."""
        return self.is_wanted or self.is_running

    def ask(self) -> None:
        """Want one that begins from now on: what runs may have read the file already."""
        self.is_wanted = True

    def begun(self) -> None:
        """Take note that a steward reloads."""
        self.is_wanted, self.is_running = False, True

    def ended(self) -> None:
        """Take note that it has, with whatever outcome."""
        self.is_running, self._deaths = False, 0

    def died(self) -> bool:
        """Take note that the steward is gone; False where it was one too many in this reload."""
        if not self.is_running:
            return True
        self.is_running = False
        self._deaths += 1
        if self._deaths < DEATHS_MAX:
            self.is_wanted = True
            return True
        self._deaths = 0
        return False
