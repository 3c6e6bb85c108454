"""`edgeproxy reload`: has the edge that runs here read its configuration again."""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose, see `edgeproxy.cli`.

import sys
from pathlib import Path
from typing import Any

import click

from edgeproxy.cli.shell import (
    CONFIGURATION,
    FAILED,
    OK,
    config_option,
    guarded,
    json_option,
    label,
    print_json,
    show,
)


@click.command()
@config_option
@json_option
def reload(path: Path, *, as_json: bool) -> None:
    """Have the running edge read its configuration and certificates again.

    It reads the file that it was started with, all of it or nothing: exits with 78 and the
    problems, file and line, where nothing has changed; with 69 where nothing runs.
    """

    def run() -> int:
        from edgeproxy.cli.control_client import ask, control_socket_path
        from edgeproxy.config.load import inspect
        from edgeproxy.control.reloading import document_of
        from edgeproxy.errors import ConfigError, Problem

        try:
            config = inspect(path, has_files=False).config
        except ConfigError as error:  # the edge would say the same, but which one is not known
            if not as_json:
                raise
            problems = [document_of(each) for each in error.problems]
            print_json({"result": "refused", "problems": problems})
            return CONFIGURATION
        answer = ask(control_socket_path(config), "POST", "v1", "reload")
        document = answer.document
        if as_json:
            print_json(document)
        elif answer.is_fine:
            show(tuple(Problem(**each) for each in document["warnings"]), "warning")
            click.echo(_line(document))
        else:
            show(tuple(Problem(**each) for each in document.get("problems", ())), "error")
            click.echo(f"{label('error')} {answer.fault}", err=True)
        if answer.is_fine:
            return OK
        return CONFIGURATION if "problems" in document else FAILED

    sys.exit(guarded(run))


def _line(document: dict[str, Any]) -> str:
    changed = ", ".join(document["changed"])
    return f"reloaded, changed: {changed}" if changed else "reloaded, nothing has changed"
