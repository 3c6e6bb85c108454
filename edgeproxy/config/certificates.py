"""Loads the certificates that a configuration names, and checks that they fit its hosts.

The only part of configuration that opens the files it names. Judges no handshake itself:
`tls.identity` does.
"""

from collections.abc import Callable
from pathlib import Path

from edgeproxy.config.files import CertificateFiles, certificate_files
from edgeproxy.config.locate import Loc
from edgeproxy.config.schema import Config
from edgeproxy.errors import CertificateError, ConfigError, Problem
from edgeproxy.tls.identity import Identity, load_identity, uncovered


def _without_line(loc: Loc, message: str) -> Problem:
    return Problem("configuration", 0, ".".join(map(str, loc)), message)


def load_certificates(
    config: Config,
    problem: Callable[[Loc, str], Problem] = _without_line,
    *,
    now: float | None = None,
) -> tuple[Identity, ...]:
    """Return the identities in the order of the hosts, each pair of files once.

    `problem` makes a located problem, as `Document.problem` does; `now` is seconds since the
    epoch, default the clock.

    Raises:
        ConfigError: every certificate that cannot be used and every host name without one.
    """
    identities: dict[tuple[Path, Path], Identity] = {}
    problems: dict[tuple[Path, Path], Problem] = {}
    for index, host in enumerate(config.host):
        files = certificate_files(config, index)
        pair = None if files is None else (files.chain, files.key)
        if files is None or pair is None or pair in identities or pair in problems:
            continue
        try:
            identities[pair] = load_identity(files.chain, files.key, name=host.name, now=now)
        except CertificateError as error:
            problems[pair] = problem(_loc_at_fault(files, str(error)), str(error))
    found = list(problems.values())
    if not found:
        found = _uncovered(config, tuple(identities.values()), problem)
    if found:
        raise ConfigError(found)
    return tuple(identities.values())


def _loc_at_fault(files: CertificateFiles, message: str) -> Loc:
    """The message begins with the file that it is about."""
    return files.key_loc if message.startswith(str(files.key)) else files.chain_loc


def _uncovered(
    config: Config, identities: tuple[Identity, ...], problem: Callable[[Loc, str], Problem]
) -> list[Problem]:
    return [
        problem(("host", index, key), f"no certificate covers {name}")
        for index, host in enumerate(config.host)
        for key, names in (("name", (host.name,)), ("aliases", host.aliases))
        for name in uncovered(names, identities)
    ]
