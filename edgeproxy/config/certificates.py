"""Loads the certificates that a configuration names, and checks that they fit its hosts.

The only part of configuration that opens the files it names. Judges no handshake itself:
`tls.identity` does.
"""

from collections.abc import Callable, Iterable, Mapping

from edgeproxy.config.files import certificate_files, identity_sources
from edgeproxy.config.locate import Loc
from edgeproxy.config.schema import Config
from edgeproxy.errors import CertificateError, ConfigError, Problem
from edgeproxy.tls.identity import Identity, IdentitySource, load_identity, uncovered

Locate = Callable[[Loc, str], Problem]


def _without_line(loc: Loc, message: str) -> Problem:
    return Problem("configuration", 0, ".".join(map(str, loc)), message)


def load_certificates(
    config: Config, problem: Locate = _without_line, *, now: float | None = None
) -> tuple[Identity, ...]:
    """Return the identities of the configuration's sources, in the order of the hosts.

    `problem` makes a located problem, as `Document.problem` does; `now` is seconds since the
    epoch, default the clock.

    Raises:
        ConfigError: every certificate that cannot be used and every host name without one.
    """
    identities: list[Identity] = []
    found: list[Problem] = []
    for source in identity_sources(config):
        try:
            identities.append(load_identity(source.pairs, name=source.name, now=now))
        except CertificateError as error:
            found.append(problem(_loc_of(config, str(error)), str(error)))
    if not found:
        found = _uncovered(config, identities, problem)
    if found:
        raise ConfigError(found)
    return tuple(identities)


def load_others(
    config: Config,
    live: Mapping[str, tuple[IdentitySource, Identity]],
    problem: Locate = _without_line,
    *,
    now: float,
) -> tuple[tuple[IdentitySource, ...], dict[str, Identity]]:
    """Return the sources of a configuration, and by name the identities that are not live yet.

    `live` is what is served now, by name. Files that are named as before are not read: whoever
    keeps them has looked at them, and what is live of them counts.

    Raises:
        ConfigError: every certificate that cannot be used and every host name without one.
    """
    sources, fresh, identities = identity_sources(config), {}, []
    found: list[Problem] = []
    for source in sources:
        kept = live.get(source.name)
        if kept is not None and _same_files(kept[0], source):
            identities.append(kept[1])
            continue
        try:
            fresh[source.name] = load_identity(source.pairs, name=source.name, now=now)
        except CertificateError as error:
            found.append(problem(_loc_of(config, str(error)), str(error)))
    found = found or _uncovered(config, [*identities, *fresh.values()], problem)
    if found:
        raise ConfigError(found)
    return sources, fresh


def _same_files(one: IdentitySource, other: IdentitySource) -> bool:
    if one.folder is not None or other.folder is not None:
        return one.folder == other.folder
    return one.pairs == other.pairs


def certificate_warnings(
    config: Config, identities: Iterable[Identity], problem: Locate = _without_line
) -> tuple[Problem, ...]:
    """Return what is unwise about the files of identities that can be used."""
    return tuple(
        problem(_loc_of(config, advice), advice)
        for identity in identities
        for advice in identity.advice
    )


def _loc_of(config: Config, message: str) -> Loc:
    """Return the key that names the file with which the message begins."""
    files = [each for index in range(len(config.host)) for each in certificate_files(config, index)]
    return next((loc for path, loc in files if message.startswith(f"{path}: ")), ("host",))


def _uncovered(config: Config, identities: Iterable[Identity], problem: Locate) -> list[Problem]:
    known = tuple(identities)
    return [
        problem(("host", index, key), f"no certificate covers {name}")
        for index, host in enumerate(config.host)
        for key, names in (("name", (host.name,)), ("aliases", host.aliases))
        for name in uncovered(names, known)
    ]
