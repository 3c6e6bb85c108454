"""The certificates on disk that a configuration names: each by itself, good or bad."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edgeproxy.config.certificates import load_certificates
from edgeproxy.config.schema import Config, Host
from edgeproxy.errors import ConfigError


@dataclass(frozen=True, slots=True)
class OnDisk:
    """What the files of one host are: fingerprints of the leaves, or why they cannot be used."""

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
    """Load what each host would be served with; `now` is seconds since the epoch."""
    return tuple(_load(config, host, now) for host in config.host)


def _load(config: Config, host: Host, now: float | None) -> OnDisk:
    """Load one host's certificate as if there were no other host."""
    alone = config.model_copy(update={"host": (host,)})
    try:
        identities: tuple[Any, ...] = load_certificates(alone, now=now)
    except ConfigError as error:
        return OnDisk(host.name, problem="; ".join(each.message for each in error.problems))
    [identity] = identities
    return OnDisk(host.name, _fingerprints(identity), tuple(identity.names), identity.not_after)


def _fingerprints(identity: Any) -> tuple[str, ...]:  # noqa: ANN401 - one certificate or several
    several = getattr(identity, "fingerprints", None)
    return (identity.fingerprint,) if several is None else tuple(several)
