"""The certificates on disk that a configuration names: each by itself, good or bad."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edgeproxy.config.files import identity_sources
from edgeproxy.config.schema import Config
from edgeproxy.errors import CertificateError
from edgeproxy.tls.identity import IdentitySource, load_identity


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What the files of an identity are: fingerprints of the leaves, or why they are of no use."""

    name: str
    fingerprints: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    not_after: datetime | None = None
    problem: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for machines."""
        return {
            "name": self.name,
            "names": list(self.names),
            "sha256": list(self.fingerprints),
            "not_after": self.not_after.isoformat() if self.not_after else None,
            "problem": self.problem or None,
        }


def on_disk(config: Config, *, now: float | None = None) -> tuple[OnDisk, ...]:
    """Load each identity that a PoP would have; `now` is seconds since the epoch."""
    return tuple(_load(source, now) for source in identity_sources(config))


def _load(source: IdentitySource, now: float | None) -> OnDisk:
    try:
        identity = load_identity(source.pairs_now(), name=source.name, now=now)
    except CertificateError as error:
        return OnDisk(source.name, problem=str(error))
    return OnDisk(source.name, identity.fingerprints, identity.names, identity.not_after)
