"""`edgeproxy certs verify`: real handshakes with every address, and what differs or fails."""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose, see `edgeproxy.cli`.

import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgeproxy.cli.shell import FAILED, OK, guarded, json_option, print_json

if TYPE_CHECKING:
    from edgeproxy.probe.addresses import Address
    from edgeproxy.probe.verification import Progress, Question, Report

_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)
# Fewer targets are done before a person could read a counter.
_WORTH_COUNTING = 8


class _Parsed(click.ParamType[object]):
    """A parameter whose parser says what is wrong in a `ValueError`."""

    def __init__(self, name: str, parse: Callable[[str], object]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> object:
        try:
            return self._parse(value) if isinstance(value, str) else value
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _address(text: str) -> "Address":
    from edgeproxy.probe.addresses import parse_address

    return parse_address(text)


def _name(text: str) -> str:
    from edgeproxy.probe.addresses import parse_name

    return parse_name(text)


def _fingerprint(text: str) -> str:
    bare = text.lower().replace(":", "")
    if not _SHA256.fullmatch(bare):
        raise ValueError(f"{text!r} is no SHA-256: expected 64 hexadecimal digits, colons or not")
    return bare


@click.command()
@click.argument(
    "addresses", nargs=-1, required=True, metavar="ADDRESS...", type=_Parsed("address", _address)
)
@click.option(
    "--sni",
    "names",
    multiple=True,
    metavar="NAME",
    type=_Parsed("name", _name),
    help="The server name to ask for, for each address; default: the address's own name.",
)
@click.option(
    "--key-type",
    "key_types",
    multiple=True,
    type=click.Choice(["ecdsa", "rsa", "any"]),
    default=("any",),
    show_default=True,
    help="Which certificates there must be; any: each that there is.",
)
@click.option(
    "--expect-fingerprint",
    "fingerprints",
    multiple=True,
    metavar="SHA256",
    type=_Parsed("sha256", _fingerprint),
    help="Certificates that are right; default: what most addresses have.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Authorities to trust, PEM; default: the system's.",
)
@click.option("--insecure", is_flag=True, help="Do not judge whether the chain is trusted.")
@click.option("--require-staple", is_flag=True, help="A handshake without a staple fails.")
@click.option(
    "--min-days",
    type=click.FloatRange(min=0),
    default=0,
    show_default=True,
    help="How many days certificates must be valid for yet.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=300),
    default=5,
    show_default=True,
    help="Seconds for each handshake.",
)
@json_option
def verify(
    addresses: "Sequence[Address]",
    names: Sequence[str],
    key_types: Sequence[str],
    fingerprints: Sequence[str],
    *,
    ca_file: Path | None,
    insecure: bool,
    require_staple: bool,
    min_days: float,
    timeout: float,
    as_json: bool,
) -> None:
    """Shake hands with every address and compare the certificates.

    An ADDRESS is HOST, HOST:PORT or [IPv6]:PORT; a name stands for every address it resolves to.
    Shows chain, names, dates, type of key, staple, resumption, and which versions of TLS are
    accepted. Exits with 1 if anything is invalid or differs between addresses.
    """

    def run() -> int:
        from edgeproxy.probe.findings import Expectations
        from edgeproxy.probe.offers import KEY_TYPES
        from edgeproxy.probe.verification import Question

        expected = Expectations(frozenset(fingerprints), require_staple, min_days)
        kinds = () if "any" in key_types else tuple(k for k in KEY_TYPES if k in key_types)
        question = Question(
            tuple(dict.fromkeys(addresses)), tuple(dict.fromkeys(names)), kinds, expected, timeout
        )
        try:
            report = _asked(question, ca_file, insecure=insecure)
        except KeyboardInterrupt:
            return FAILED  # what was not looked at is not fine
        return _report(report, as_json=as_json)

    sys.exit(guarded(run))


def _asked(question: "Question", ca_file: Path | None, *, insecure: bool) -> "Report":
    import asyncio

    from edgeproxy.clock import SystemClock
    from edgeproxy.probe.offers import Contexts
    from edgeproxy.probe.verification import verify as ask

    contexts = Contexts(ca_file, is_trusting=insecure)
    return asyncio.run(ask(question, contexts, SystemClock(), progress=_progress()))


def _progress() -> "Progress":
    """Return a counter on standard error, for people who wait for a long list."""

    def count(done: int, of: int) -> None:
        if of >= _WORTH_COUNTING:
            ending = f"\r{'':20}\r" if done == of else ""
            click.echo(f"\r{done}/{of}{ending}", nl=False, err=True)

    return count if sys.stderr.isatty() else lambda _done, _of: None


def _report(report: "Report", *, as_json: bool) -> int:
    from edgeproxy.probe.document import document
    from edgeproxy.probe.table import lines

    if as_json:
        print_json(document(report))
    else:
        click.echo("\n".join(lines(report)))
    return OK if report.is_fine else FAILED
