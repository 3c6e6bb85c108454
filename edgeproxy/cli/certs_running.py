"""`edgeproxy certs status`, `reload` and `revert`: the certificates of the edge that runs here."""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose, see `edgeproxy.cli`.

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edgeproxy.cli.shell import (
    FAILED,
    OK,
    UNAVAILABLE,
    config_option,
    guarded,
    json_option,
    label,
    print_json,
)
from edgeproxy.errors import UnavailableError

if TYPE_CHECKING:
    from edgeproxy.cli.certs_disk import OnDisk
    from edgeproxy.cli.control_client import Answer
    from edgeproxy.config.schema import Config


@click.command()
@config_option
@json_option
def status(path: Path, *, as_json: bool) -> None:
    """Show which certificates are served, their staples, and whether the files differ.

    Exits with 1 if something has expired, is withheld, failed or differs. Where nothing runs, the
    files are judged alone; 69 if none of them can be used either.
    """

    def run() -> int:
        from edgeproxy.cli.certs_disk import on_disk
        from edgeproxy.clock import SystemClock

        config, now = _config(path), SystemClock().now()
        served, silence = _served(config)
        disk = on_disk(config, now=now)
        return _report(_Status(config, served, silence, disk, now), as_json=as_json)

    sys.exit(guarded(run))


@click.command()
@config_option
@json_option
def reload(path: Path, *, as_json: bool) -> None:
    """Have the running edge read its certificates from disk again.

    A pair that is bad changes nothing: what is served goes on being served.
    """

    def run() -> int:
        from edgeproxy.cli.certs_disk import on_disk
        from edgeproxy.clock import SystemClock

        config, now = _config(path), SystemClock().now()
        answer = _ask(config, "POST", "reload")
        if not answer.is_fine:
            return _refused(answer, as_json=as_json)
        disk = on_disk(config, now=now)
        return _report(_Status(config, answer.document, None, disk, now), as_json=as_json)

    sys.exit(guarded(run))


@click.command()
@click.argument("name")
@config_option
@json_option
def revert(name: str, path: Path, *, as_json: bool) -> None:
    """Have the running edge go back to the previous certificate of NAME."""

    def run() -> int:
        from edgeproxy.cli.certs_report import lines
        from edgeproxy.clock import SystemClock

        answer = _ask(_config(path), "POST", name, "revert")
        if not answer.is_fine:
            return _refused(answer, as_json=as_json)
        if as_json:
            print_json(answer.document)
        else:
            live = {"identities": [answer.document]}
            click.echo("\n".join(["went back to", *lines(live, (), SystemClock().now())]))
        return OK

    sys.exit(guarded(run))


class _Status(NamedTuple):
    """What the running edge says (or why it says nothing), and what the files say."""

    config: "Config"
    served: dict[str, Any] | None
    silence: UnavailableError | None
    disk: "tuple[OnDisk, ...]"
    now: float


def _config(path: Path) -> "Config":
    from edgeproxy.config.load import inspect

    return inspect(path, has_files=False).config


def _ask(config: "Config", method: str, *what: str) -> "Answer":
    from edgeproxy.cli.control_client import ask, control_socket_path

    return ask(control_socket_path(config), method, "v1", "certificates", *what)


def _served(config: "Config") -> tuple[dict[str, Any] | None, UnavailableError | None]:
    """Return the running edge's document, or why there is none."""
    try:
        answer = _ask(config, "GET")
    except UnavailableError as error:
        return None, error
    if not answer.is_fine:
        return None, UnavailableError(f"the edge that runs here does not tell: {answer.fault}")
    return answer.document, None


def _report(status: _Status, *, as_json: bool) -> int:
    from edgeproxy.cli.certs_report import problems
    from edgeproxy.cli.control_client import NotRunningError, control_socket_path

    found = problems(status.served, status.disk, status.now)
    if status.silence is not None and not isinstance(status.silence, NotRunningError):
        found.insert(0, str(status.silence))
    if as_json:
        print_json(
            {
                "ok": not found,
                "is_running": status.served is not None,
                "socket": str(control_socket_path(status.config)),
                "served": status.served,
                "disk": [each.as_json() for each in status.disk],
                "problems": found,
            }
        )
    else:
        _show(status, found)
    if status.served is None and all(each.problem for each in status.disk):
        return UNAVAILABLE
    return FAILED if found else OK


def _show(status: _Status, found: list[str]) -> None:
    from edgeproxy.cli.certs_report import lines

    if status.silence is not None:
        click.echo(f"{status.silence}; this is what the files say")
    for line in lines(status.served, status.disk, status.now):
        click.echo(line)
    for problem in found:
        click.echo(f"{label('error')} {problem}", err=True)


def _refused(answer: "Answer", *, as_json: bool) -> int:
    if as_json:
        print_json(answer.document)
    else:
        click.echo(f"{label('error')} {answer.fault}", err=True)
    return FAILED
