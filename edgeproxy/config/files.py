"""Which files a configuration names, and whether they are there and can be read.

Looks at names and permissions only, so that a missing certificate is found before anything
listens; what is in the files is for those who load them (`certificates`, the origin).
"""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgeproxy.config.lint import Finding
from edgeproxy.config.locate import Loc
from edgeproxy.config.schema import Config, Host
from edgeproxy.tls.files import KeyPairFiles, pairs_in
from edgeproxy.tls.identity import IdentitySource


class LocatedFile(NamedTuple):
    """A file, and which key of the configuration says so."""

    path: Path
    loc: Loc


def identity_sources(config: Config) -> tuple[IdentitySource, ...]:
    """Return which files make the identities of the hosts, in the order of the hosts.

    Hosts that name the same files share one. A folder's files are those that are in it now.
    """
    sources: dict[object, IdentitySource] = {}
    for host in config.host:
        folder = _folder(config, host)
        pairs = _pairs(host, folder)
        if not pairs:
            continue
        first = sources.get(folder or pairs)
        hosts = (*(first.hosts if first else ()), host.name, *host.aliases)
        name = first.name if first else host.name
        sources[folder or pairs] = IdentitySource(name, pairs, hosts, folder)
    return tuple(sources.values())


def certificate_files(config: Config, index: int) -> tuple[LocatedFile, ...]:
    """Return the files of the host with that index, none when the configuration names none."""
    host = config.host[index]
    loc: Loc = ("host", index)
    if host.cert is None:
        pairs = _pairs(host, _folder(config, host))
        return tuple(LocatedFile(path, (*loc, "name")) for pair in pairs for path in pair.paths)
    return tuple(
        # One certificate is a table as a rule, not a list.
        LocatedFile(path, (*loc, "cert", *((number,) if len(host.cert) > 1 else ()), key))
        for number, cert in enumerate(host.cert)
        for key, path in (("chain", cert.chain), ("key", cert.key), ("issuer", cert.issuer))
        if path is not None
    )


def findings(config: Config) -> Iterator[Finding]:
    """Yield every file that cannot be used."""
    certs_dir = config.tls.certs_dir
    has_folder = certs_dir is None or _may_be_folder(certs_dir)
    if not has_folder:
        yield Finding(("tls", "certs_dir"), f"there is no folder {certs_dir}")
    for index, host in enumerate(config.host):
        files = certificate_files(config, index)
        if not files:
            yield Finding(
                ("host", index, "name"),
                f"{host.name} has no certificate: neither cert nor tls.certs_dir is there",
            )
        elif host.cert is not None or has_folder:
            for path, loc in files:
                yield from _readable(path, loc)
    for name, origin in config.origin.items():
        if origin.tls.ca_file is not None:
            yield from _readable(origin.tls.ca_file, ("origin", name, "tls", "ca_file"))


def _folder(config: Config, host: Host) -> Path | None:
    if host.cert is not None or config.tls.certs_dir is None:
        return None
    return config.tls.certs_dir / host.name


def _pairs(host: Host, folder: Path | None) -> tuple[KeyPairFiles, ...]:
    if folder is not None:
        return pairs_in(folder)
    return tuple(KeyPairFiles(each.chain, each.key, each.issuer) for each in host.cert or ())


def _may_be_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except PermissionError:  # its files will be called unreadable
        return True


def _readable(path: Path, loc: Loc) -> Iterator[Finding]:
    try:
        if not path.exists():
            yield Finding(loc, f"there is no file {path}")
        elif not path.is_file():
            yield Finding(loc, f"{path} is not a file")
        elif not os.access(path, os.R_OK):
            yield Finding(loc, f"no permission to read {path}")
    except PermissionError:  # of a folder on the way
        yield Finding(loc, f"no permission to read {path}")
