"""What the data path has to do with bodies that memory does not keep: write one, read one.

Where they are, and what may be there, is the lower tier's business.
"""

from collections.abc import Sequence
from typing import Protocol


class Spill(Protocol):
    """A large body that is being written below; what is not committed vanishes when closed."""

    async def write(self, pieces: Sequence[bytes]) -> None:
        """Write these behind what is there; raises `StoreError`, and then it is of no more use."""

    async def read(self, position: int, size: int) -> bytes:
        """Return so many octets of what was written; raises `StoreError`."""

    def close(self) -> None:
        """Nobody writes or reads any more; may be said twice."""


class OpenBody(Protocol):
    """A large body that is there to be read, even if it is let go of meanwhile."""

    async def read(self, position: int, size: int) -> bytes:
        """Return so many octets from there; raises `StoreError`."""

    def close(self) -> None:
        """Nobody reads any more; may be said twice."""
