"""Loads the certificates that a configuration names, and checks that they fit its hosts.

The only part of configuration that opens the files it names. Judges no handshake itself:
`tls.identity` does.
"""

from collections.abc import Callable, Iterable

from edgeproxy.config.files import certificate_files, identity_sources
from edgeproxy.config.locate import Loc
from edgeproxy.config.schema import Config
from edgeproxy.errors import CertificateError, ConfigError, Problem
from edgeproxy.tls.identity import Identity, load_identity, uncovered

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
