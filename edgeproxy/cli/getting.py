"""`edgeproxy get`: one request in a protocol of choice, and everything about its answer."""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose, see `edgeproxy.cli`.

import re
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from edgeproxy.cli.shell import FAILED, OK, guarded, json_option, print_json

if TYPE_CHECKING:
    from edgeproxy.probe.addresses import Address
    from edgeproxy.probe.get.answer import Asked, Line, Protocol
    from edgeproxy.probe.get.asking import Report
    from edgeproxy.probe.get.url import Url

Parsed = TypeVar("Parsed")

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+", re.ASCII)
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
# The framing and the connection are the protocols' own.
_OURS = frozenset({"host", "connection", "content-length", "transfer-encoding", "te", "upgrade"})
_PROTOCOLS: "dict[str, tuple[Protocol, ...]]" = {
    "http1": ("http/1.1",),
    "http2": ("h2",),
    "http3": ("h3",),
    "": ("h2", "http/1.1"),
}
_MEBIBYTE = 1024 * 1024


def _url(_ctx: click.Context, _param: click.Parameter, text: str) -> "Url":
    from edgeproxy.probe.get.url import parse_url

    return _parsed(parse_url, text)


def _place(_ctx: click.Context, _param: click.Parameter, text: str | None) -> "Address | None":
    from edgeproxy.probe.addresses import parse_address

    return None if text is None else _parsed(parse_address, text)


def _fields(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> "tuple[Line, ...]":
    return tuple(_parsed(_field, text) for text in texts)


def _parsed(parse: Callable[[str], Parsed], text: str) -> Parsed:
    try:
        return parse(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


def _field(text: str) -> "Line":
    name, colon, value = text.partition(":")
    value = value.strip()
    if not colon or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise ValueError(f"{text!r} is no field: expected 'Name: value'")
    if name.lower() in _OURS:
        raise ValueError(f"{name} is about the connection and not to be chosen")
    return name, value


@click.command()
@click.argument("url", callback=_url)
@click.option("--http1", "protocol", flag_value="http1", help="Over HTTP/1.1.")
@click.option("--http2", "protocol", flag_value="http2", help="Over HTTP/2.")
@click.option("--http3", "protocol", flag_value="http3", help="Over HTTP/3.")
@click.option(
    "--method",
    "-X",
    type=click.Choice(["GET", "HEAD", "OPTIONS"]),
    default="GET",
    show_default=True,
    help="What is asked.",
)
@click.option(
    "--field",
    "-H",
    "fields",
    multiple=True,
    metavar="'NAME: VALUE'",
    callback=_fields,
    help="A request field; may be repeated.",
)
@click.option(
    "--connect-to",
    "place",
    metavar="ADDRESS",
    callback=_place,
    help="Where to connect, instead of where the URL says: HOST, HOST:PORT or [IPv6]:PORT.",
)
@click.option(
    "--output",
    "-o",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Where content goes, - for standard output (the report is then left out).",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Authorities to trust, PEM; default: the system's.",
)
@click.option("--insecure", is_flag=True, help="Do not judge whether the server is trusted.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=30,
    show_default=True,
    help="Seconds for everything.",
)
@click.option(
    "--max-size",
    type=click.IntRange(min=1),
    default=1024,
    show_default=True,
    help="MiB of content that are taken.",
)
@json_option
def get(
    url: "Url",
    protocol: str | None,
    method: str,
    fields: "tuple[Line, ...]",
    *,
    place: "Address | None",
    output: Path | None,
    ca_file: Path | None,
    insecure: bool,
    timeout: float,
    max_size: int,
    as_json: bool,
) -> None:
    """Ask for a URL once, and show all that there is to see.

    That is: status, fields, interim responses and trailers, how much content came and its SHA-256,
    how long each step took, the protocol, the certificate and its staple, and whether the session
    can be resumed. Without --http1, --http2 or --http3 the server chooses between the first two.
    Exits with 1 if no whole response came, or from a server that is not trusted; what the status
    says is not judged.
    """

    def run() -> int:
        from edgeproxy.probe.get.answer import Asked

        asked = Asked(url, method, fields, _PROTOCOLS[protocol or ""])
        with ExitStack() as held:
            sink = _sink(output, held)
            report = _asked(
                asked,
                place or url.address,
                sink,
                trust=(ca_file, insecure),
                bounds=(timeout, max_size * _MEBIBYTE),
            )
        _say(report, as_json=as_json, is_mute=str(output) == "-")
        return OK if report.is_fine else FAILED

    sys.exit(guarded(run))


def _sink(output: Path | None, held: ExitStack) -> Callable[[bytes], object]:
    if output is None:
        return lambda _data: None
    if str(output) == "-":
        return sys.stdout.buffer.write
    return held.enter_context(output.open("wb")).write


def _asked(
    asked: "Asked",
    place: "Address",
    sink: Callable[[bytes], object],
    *,
    trust: tuple[Path | None, bool],
    bounds: tuple[float, int],
) -> "Report":
    import asyncio

    from edgeproxy.clock import SystemClock
    from edgeproxy.probe.get.asking import Asking
    from edgeproxy.probe.get.http3 import QuicClient
    from edgeproxy.probe.offers import Contexts

    (ca_file, is_trusting), (seconds, octets_max) = trust, bounds
    asking = Asking(
        Contexts(ca_file, is_trusting=is_trusting),
        QuicClient(ca_file, is_trusting=is_trusting),
        SystemClock(),
        seconds,
        octets_max,
        sink,
    )
    return asyncio.run(asking.ask(asked, place))


def _say(report: "Report", *, as_json: bool, is_mute: bool) -> None:
    from edgeproxy.clock import SystemClock
    from edgeproxy.probe.get.report import document, lines

    now = SystemClock().now()
    if as_json and not is_mute:
        print_json(document(report, now))
        return
    for line in lines(report, now):
        if not is_mute or line.startswith("!"):
            click.echo(line, err=is_mute)
