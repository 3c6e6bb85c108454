"""Whether the files that a configuration names are there and can be read.

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


class CertificateFiles(NamedTuple):
    """Where a host's certificate is, and which keys of the configuration say so."""

    chain: Path
    key: Path
    chain_loc: Loc
    key_loc: Loc


def certificate_files(config: Config, index: int) -> CertificateFiles | None:
    """Return the files of the host with that index, None when the configuration names none."""
    host: Host = config.host[index]
    loc: Loc = ("host", index)
    if host.cert is not None:
        loc = (*loc, "cert")
        return CertificateFiles(host.cert.chain, host.cert.key, (*loc, "chain"), (*loc, "key"))
    if config.tls.certs_dir is not None:
        folder = config.tls.certs_dir / host.name
        loc = (*loc, "name")
        return CertificateFiles(folder / "fullchain.pem", folder / "key.pem", loc, loc)
    return None


def findings(config: Config) -> Iterator[Finding]:
    """Yield every file that cannot be used."""
    certs_dir = config.tls.certs_dir
    has_folder = certs_dir is None or certs_dir.is_dir()
    if not has_folder:
        yield Finding(("tls", "certs_dir"), f"there is no folder {certs_dir}")
    for index, host in enumerate(config.host):
        files = certificate_files(config, index)
        if files is None:
            yield Finding(
                ("host", index, "name"),
                f"{host.name} has no certificate: neither cert nor tls.certs_dir is there",
            )
        elif host.cert is not None or has_folder:
            yield from _readable(files.chain, files.chain_loc)
            yield from _readable(files.key, files.key_loc)
    for name, origin in config.origin.items():
        if origin.tls.ca_file is not None:
            yield from _readable(origin.tls.ca_file, ("origin", name, "tls", "ca_file"))


def _readable(path: Path, loc: Loc) -> Iterator[Finding]:
    if not path.exists():
        yield Finding(loc, f"there is no file {path}")
    elif not path.is_file():
        yield Finding(loc, f"{path} is not a file")
    elif not os.access(path, os.R_OK):
        yield Finding(loc, f"no permission to read {path}")
