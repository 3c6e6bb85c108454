"""`edgeproxy check`: what a configuration would do, without listening."""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose, see `edgeproxy.cli`.

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from edgeproxy.cli.shell import (
    CONFIGURATION,
    OK,
    config_option,
    guarded,
    json_option,
    print_json,
    show,
)
from edgeproxy.errors import ConfigError, Problem

if TYPE_CHECKING:
    from edgeproxy.cli.loading import Inspected


@click.command()
@config_option
@json_option
def check(path: Path, as_json: bool) -> None:
    """Validate a configuration without listening: keys, references, files, certificates, rules.

    Where HTTP/3 is on, UDP ports are tried: those of an edge that runs here should answer, others
    be free.
    """

    def run() -> int:
        from edgeproxy.cli.loading import load_all

        try:
            loaded = _with_reach(load_all(path))
        except ConfigError as error:
            if not as_json:
                raise
            print_json({"ok": False, "problems": [_as_json(p) for p in error.problems]})
            return CONFIGURATION
        if as_json:
            print_json(_summary(loaded))
        else:
            show(loaded.warnings, "warning")
            _print_summary(_summary(loaded))
        return OK

    sys.exit(guarded(run))


def _with_reach(loaded: "Inspected") -> "Inspected":
    """Add what is wrong with the UDP ports for HTTP/3, on this machine and now."""
    from edgeproxy.cli.reaching import unreachable

    found = [
        loaded.document.problem(("listen", "http3"), sentence)
        for sentence in unreachable(loaded.config)
    ]
    return loaded._replace(warnings=(*loaded.warnings, *found))


def _as_json(problem: Problem) -> dict[str, object]:
    return {
        "file": problem.file,
        "line": problem.line or None,
        "path": problem.path,
        "message": problem.message,
        "nearest": problem.nearest or None,
    }


def _summary(loaded: "Inspected") -> dict[str, Any]:
    config = loaded.config
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
            for identity in loaded.identities
        ],
        "warnings": [_as_json(problem) for problem in loaded.warnings],
    }


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
