"""The command line: reads arguments, calls one function, turns its fate into an exit code.

No decision about traffic and no loading of configuration is made here. Imports of weight happen
inside the commands, so that `--help` and `--version` answer at once.

Exit codes: 0 ok, 1 failed check, 2 usage, 69 something needed is unavailable, 70 internal, 77
permission, 78 configuration.
"""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose: pydantic, cryptography and the listeners take half a
# second that `--help` and shell completion should not pay.

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeproxy import __version__
from edgeproxy.errors import CertificateError, ConfigError, Problem, UnavailableError
from edgeproxy.runtime.descriptors import occupy_standard

if TYPE_CHECKING:
    from edgeproxy.config.load import Loaded
    from edgeproxy.config.schema import Config
    from edgeproxy.tls.identity import Identity

OK = 0
UNAVAILABLE = 69
INTERNAL = 70
PERMISSION = 77
CONFIGURATION = 78

_config_option = click.option(
    "-c",
    "--config",
    "path",
    required=True,
    type=click.Path(path_type=Path),
    help="The configuration file (TOML).",
)


def _port_option(name: str, default: int, what: str) -> Callable[[Any], Any]:
    return click.option(
        f"--{name}-port",
        type=click.IntRange(0, 65535),
        default=default,
        envvar=f"EDGEPROXY_DEMO_{name.upper()}_PORT",
        show_default=True,
        show_envvar=True,
        help=f"{what}; 0 takes a free one.",
    )


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgeproxy")
def main() -> None:
    """A self-hosted CDN point of presence: an edge cache in front of your origin."""


@main.command()
@_config_option
def serve(path: Path) -> None:
    """Run the edge until it is told to stop (SIGTERM, SIGINT)."""

    def run() -> int:
        loaded, _, warnings = _inspect(path)  # certificates again by the worker: here are lines
        _show(warnings, "warning")
        from edgeproxy.runtime.process import run as run_worker

        return run_worker(loaded.config)

    sys.exit(guarded(run))


@main.command()
@_config_option
@click.option("--json", "as_json", is_flag=True, help="For machines, on standard output.")
def check(path: Path, as_json: bool) -> None:
    """Validate a configuration without listening: keys, references, files, certificates, rules."""

    def run() -> int:
        try:
            loaded, identities, warnings = _inspect(path)
        except ConfigError as error:
            if not as_json:
                raise
            _print_json({"ok": False, "problems": [_as_json(p) for p in error.problems]})
            return CONFIGURATION
        summary = _summary(loaded.config, identities, warnings)
        if as_json:
            _print_json(summary)
        else:
            _show(warnings, "warning")
            _print_summary(summary)
        return OK

    sys.exit(guarded(run))


@main.command()
@_port_option("https", 8443, "Where the edge answers HTTP/2 and HTTP/1.1")
@_port_option("http", 8080, "Where plain HTTP is redirected")
@_port_option("origin", 8444, "Where the demo's origin answers")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/demo"),
    show_default=True,
    help="Where the local CA and certificates are kept.",
)
def demo(https_port: int, http_port: int, origin_port: int, folder: Path) -> None:
    """Run an origin with a widget, and the edge in front of it, on this machine."""

    def run() -> int:
        from edgeproxy.emulator.demo import run as run_demo
        from edgeproxy.emulator.options import DemoOptions

        return run_demo(
            DemoOptions(
                https_port=https_port, http_port=http_port, origin_port=origin_port, folder=folder
            )
        )

    sys.exit(guarded(run))


def guarded(run: Callable[[], int]) -> int:
    """Run a command; say what ended it and return the exit code."""
    occupy_standard()
    try:
        return run()
    except ConfigError as error:
        _show(error.problems, "error")
        return CONFIGURATION
    except CertificateError as error:
        click.echo(f"{_label('error')} {error}", err=True)
        return CONFIGURATION
    except UnavailableError as error:
        click.echo(f"{_label('error')} {error}", err=True)
        return UNAVAILABLE
    except PermissionError as error:
        click.echo(f"{_label('error')} {error}", err=True)
        return PERMISSION
    except KeyboardInterrupt:
        return OK
    except Exception as error:  # noqa: BLE001 - the outermost frame: whatever it is gets a code
        import traceback

        traceback.print_exc()
        click.echo(f"{_label('error')} internal: {error!r}", err=True)
        return INTERNAL


def _inspect(path: Path) -> "tuple[Loaded, tuple[Identity, ...], tuple[Problem, ...]]":
    """Load a configuration and its certificates, with all warnings."""
    from edgeproxy.config.certificates import certificate_warnings, load_certificates
    from edgeproxy.config.load import inspect

    loaded = inspect(path)
    identities = load_certificates(loaded.config, loaded.document.problem)
    unwise = certificate_warnings(loaded.config, identities, loaded.document.problem)
    return loaded, identities, (*loaded.warnings, *unwise)


def _label(word: str) -> str:
    return click.style(f"{word}:", fg="red" if word == "error" else "yellow", bold=True)


def _show(problems: tuple[Problem, ...], word: str) -> None:
    """Write one line each; click drops the colour where nobody looks."""
    for problem in problems:
        click.echo(f"{_label(word)} {problem}", err=True)


def _as_json(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line or None,
        "path": problem.path,
        "message": problem.message,
        "nearest": problem.nearest or None,
    }


def _summary(
    config: "Config", identities: "tuple[Identity, ...]", warnings: tuple[Problem, ...]
) -> dict[str, Any]:
    return {
        "ok": True,
        "pop": config.pop.name,
        "listen": {
            "https": [str(address) for address in config.listen.https],
            "http_redirect": [str(address) for address in config.listen.http_redirect or ()],
        },
        "hosts": [
            {
                "name": host.name,
                "aliases": list(host.aliases),
                "origin": config.origin[host.origin].urls[0],
                "rules": [
                    {"id": rule.id, "policy": rule.policy, "path": [p.source for p in rule.path]}
                    for rule in host.rule
                ],
            }
            for host in config.host
        ],
        "certificates": [
            {
                "name": identity.name,
                "names": list(identity.names),
                "credentials": [
                    {
                        "kind": credential.kind,
                        "not_before": credential.not_before.isoformat(),
                        "not_after": credential.not_after.isoformat(),
                        "sha256": credential.fingerprint,
                    }
                    for credential in identity.credentials
                ],
            }
            for identity in identities
        ],
        "warnings": [_as_json(problem) for problem in warnings],
    }


def _print_json(value: object) -> None:
    click.echo(json.dumps(value, indent=2))


def _print_summary(summary: dict[str, Any]) -> None:
    lines = [f"ok: {summary['pop']} on {', '.join(summary['listen']['https'])}"]
    for host in summary["hosts"]:
        lines.append(f"  host {', '.join([host['name'], *host['aliases']])} <- {host['origin']}")
        lines += [
            f"    rule {rule['id']} ({rule['policy']}): {' '.join(rule['path'])}"
            for rule in host["rules"]
        ] or ["    no rules: a transparent shared cache"]
    for certificate in summary["certificates"]:
        lines.append(f"  certificate {', '.join(certificate['names'])}")
        lines += [
            f"    {credential['kind']:5} {credential['not_before'][:10]} to "
            f"{credential['not_after'][:10]}, SHA-256 {credential['sha256']}"
            for credential in certificate["credentials"]
        ]
    click.echo("\n".join(lines))
