"""The seam between the control API and whoever keeps the certificates.

Types only: the API (`api`) asks a `CertificateControl`, which the composition root provides.
Documents are JSON-ready dictionaries.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

Document = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Reverted:
    """New connections get the previous identity again; `live` describes it."""

    live: Document


@dataclass(frozen=True, slots=True)
class NotReverted:
    """Nothing has changed: no identity has that name, or none is kept to go back to."""

    reason: Literal["unknown-name", "nothing-kept"]


class CertificateControl(Protocol):
    """What can be asked of a running PoP about its identities.

    No two commands run at the same time, but one that takes too long (`api.SECONDS_MAX`)
    is cancelled: it must leave everything as it was, or as it wanted it.
    """

    def status(self) -> Document:
        """Describe every identity: what is live, its staples, what came of the last load."""

    async def reload(self) -> Document:
        """Look at all files now; return the status afterwards.

        A pair of files that cannot be used is no exception: the status says so.
        """

    async def revert(self, name: str) -> Reverted | NotReverted:
        """Go back to the previous identity of that name."""
