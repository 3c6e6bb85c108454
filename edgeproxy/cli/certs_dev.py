"""`edgeproxy certs dev`: an authority for this machine only, and a certificate by it."""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose, see `edgeproxy.cli`.

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeproxy.cli.shell import OK, guarded, json_option, print_json
from edgeproxy.errors import CertificateError

if TYPE_CHECKING:
    from edgeproxy.tls.development import DevelopmentCa, DevelopmentLeaf, KeyType

_KEY_TYPES: "dict[str, tuple[KeyType, ...]]" = {
    "ecdsa": ("ecdsa",),
    "rsa": ("rsa",),
    "both": ("ecdsa", "rsa"),
}


def _local_names(
    _context: click.Context, _parameter: click.Parameter, names: tuple[str, ...]
) -> tuple[str, ...]:
    from edgeproxy.tls.development import LOOPBACK_NAMES, check_name

    try:
        for name in names:
            check_name(name)
    except CertificateError as error:
        raise click.BadParameter(str(error)) from None
    return tuple(dict.fromkeys(name.lower() for name in names)) or LOOPBACK_NAMES


@click.command()
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("certs/dev"),
    show_default=True,
    help="Where the authority is kept; the certificate is in it, in a folder of its first name.",
)
@click.option(
    "--name",
    "names",
    multiple=True,
    callback=_local_names,
    metavar="NAME",
    help="localhost, a name under it, or a loopback address; default: localhost, 127.0.0.1, ::1.",
)
@click.option(
    "--key-type",
    type=click.Choice(list(_KEY_TYPES)),
    default="ecdsa",
    show_default=True,
    help="Types of key.",
)
@json_option
def dev(folder: Path, names: Sequence[str], key_type: str, *, as_json: bool) -> None:
    """Make a local authority and a certificate for development, or keep those that are good.

    The authority can vouch for localhost, names under it and loopback addresses only, so that to
    trust it is not to trust it with the rest of the internet.
    """

    def run() -> int:
        from edgeproxy.tls.development import issue_both, make_ca

        ca = make_ca(folder)
        leaves = issue_both(ca, folder / names[0], names, _KEY_TYPES[key_type])
        made = _document(folder, names, ca, leaves)
        if as_json:
            print_json(made)
        else:
            click.echo("\n".join(_lines(made)))
        return OK

    sys.exit(guarded(run))


def _document(
    folder: Path,
    names: Sequence[str],
    ca: "DevelopmentCa",
    leaves: "Sequence[DevelopmentLeaf]",
) -> dict[str, Any]:
    from edgeproxy.probe.certificates import fingerprint, key_type
    from edgeproxy.tls.material import read_chain

    chains = [read_chain(leaf.chain_path) for leaf in leaves]
    return {
        "name": names[0],
        "names": list(names),
        "certs_dir": str(folder),
        "ca": {
            "file": str(ca.path),
            "not_after": ca.certificate.not_valid_after_utc.isoformat(),
            "sha256": fingerprint(ca.certificate),
        },
        "issuer": str(folder / names[0] / "issuer.pem"),
        "certificates": [
            {
                "key_type": key_type(chain[0]),
                "chain": str(leaf.chain_path),
                "key": str(leaf.key_path),
                "not_after": chain[0].not_valid_after_utc.isoformat(),
                "sha256": fingerprint(chain[0]),
            }
            for leaf, chain in zip(leaves, chains, strict=True)
        ],
    }


def _lines(made: dict[str, Any]) -> list[str]:
    ca, host = made["ca"]["file"], made["name"]
    lines = [f"authority    {ca}, until {made['ca']['not_after'][:10]}"]
    for each in made["certificates"]:
        lines += [
            f"certificate  {each['chain']} ({each['key_type']}), until {each['not_after'][:10]}",
            f"key          {each['key']}",
        ]
    return [
        *lines,
        f"names        {', '.join(made['names'])}",
        "",
        "To serve it:",
        "  [tls]",
        f'  certs_dir = "{Path(made["certs_dir"]).absolute()}"',
        "  [[host]]",
        f'  name = "{host}"',
        "",
        "To trust it:",
        f"  curl --cacert {ca} https://{host}/",
        f"  a browser: import {ca} as an authority for web sites. It can vouch for localhost,",
        "  names under it and loopback addresses only. Remove it when you are done.",
    ]
