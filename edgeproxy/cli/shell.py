"""What every command has in common: its end, its exit code, and how it speaks.

Exit codes: 0 ok, 1 failed check, 2 usage, 69 something needed is unavailable, 70 internal, 77
permission, 78 configuration. Results go to standard output, everything else to standard error.
"""

import json
from collections.abc import Callable
from pathlib import Path

import click

from edgeproxy.errors import CertificateError, ConfigError, Problem, UnavailableError
from edgeproxy.runtime.descriptors import occupy_standard

OK = 0
FAILED = 1
UNAVAILABLE = 69
INTERNAL = 70
PERMISSION = 77
CONFIGURATION = 78

config_option = click.option(
    "-c",
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="The configuration file (TOML).",
)

json_option = click.option(
    "--json", "as_json", is_flag=True, help="For machines, on standard output."
)


def guarded(run: Callable[[], int]) -> int:
    """Run a command; say what ended it and return the exit code."""
    occupy_standard()
    try:
        return run()
    except ConfigError as error:
        show(error.problems, "error")
        return CONFIGURATION
    except CertificateError as error:
        click.echo(f"{label('error')} {error}", err=True)
        return CONFIGURATION
    except UnavailableError as error:
        click.echo(f"{label('error')} {error}", err=True)
        return UNAVAILABLE
    except PermissionError as error:
        click.echo(f"{label('error')} {error}", err=True)
        return PERMISSION
    except KeyboardInterrupt:
        return OK
    except Exception as error:  # noqa: BLE001 - the outermost frame: whatever it is gets a code
        import traceback  # noqa: PLC0415 - seldom needed

        traceback.print_exc()
        click.echo(f"{label('error')} internal: {error!r}", err=True)
        return INTERNAL


def label(word: str) -> str:
    """Return the word that begins a line on standard error, in its colour."""
    return click.style(f"{word}:", fg="red" if word == "error" else "yellow", bold=True)


def show(problems: tuple[Problem, ...], word: str) -> None:
    """Write one line each; click drops the colour where nobody looks."""
    for problem in problems:
        click.echo(f"{label(word)} {problem}", err=True)


def print_json(value: object) -> None:
    """Write a document to standard output."""
    click.echo(json.dumps(value, indent=2))
