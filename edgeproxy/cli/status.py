"""`edgeproxy status`: what the edge that runs here says of itself."""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose, see `edgeproxy.cli`.

import sys
from pathlib import Path
from typing import Any

import click

from edgeproxy.cli.shell import FAILED, OK, config_option, guarded, json_option, label, print_json


@click.command()
@config_option
@json_option
def status(path: Path, *, as_json: bool) -> None:
    """Show what the running edge does: phase, connections, cache, requests by outcome.

    Exits with 1 while it is not serving, with 69 where nothing runs.
    """

    def run() -> int:
        from edgeproxy.cli.control_client import ask, control_socket_path
        from edgeproxy.config.load import inspect

        config = inspect(path, has_files=False).config
        answer = ask(control_socket_path(config), "GET", "v1", "status")
        if not answer.is_fine:
            click.echo(f"{label('error')} {answer.fault}", err=True)
            return FAILED
        answer.document["http3"] = _http3(answer.document)
        if as_json:
            print_json(answer.document)
        else:
            click.echo("\n".join(_lines(answer.document)))
        return OK if answer.document["phase"] == "serving" else FAILED

    sys.exit(guarded(run))


def _http3(document: dict[str, Any]) -> list[dict[str, Any]]:
    """Ask every address that HTTP/3 should answer at."""
    from edgeproxy.probe.addresses import Address
    from edgeproxy.probe.quic import answers_quic

    addresses = [Address(host, port) for host, port in document.get("http3", ())]
    return [{"address": str(each), "answers": answers_quic(each)} for each in addresses]


def _http3_line(said: dict[str, Any], predecessor: int | None) -> str:
    if predecessor:  # whatever answers there is its, and begins nothing any more
        return f"  HTTP/3      waits at UDP {said['address']} for process {predecessor} to end"
    if said["answers"]:
        return f"  HTTP/3      answers at UDP {said['address']}"
    from edgeproxy.cli.reaching import SILENT

    return f"  HTTP/3      {SILENT.format(said['address'])}"


def _lines(document: dict[str, Any]) -> list[str]:
    counters = document["counters"]
    who = f"edgeproxy {document['version']}, pid {document['pid']}"
    lines = [
        f"{document['pop']}: {document['phase']}, {who}, up {document['uptime_seconds']:.0f} s",
        f"  connections {document['connections']}",
        *(
            f"  {name:11} {tier['objects']} stored responses, {tier['bytes']} bytes"
            for name, tier in document["cache"].items()
        ),
        f"  requests    {counters['requests']}, {counters['response_body_bytes']} bytes sent",
        f"  origin      {counters['origin_requests']} requests",
    ]
    lines += [_http3_line(each, document.get("predecessor")) for each in document["http3"]]
    workers = document.get("workers", ())  # a demo has none beside itself
    if workers:
        cpu = ", ".join(f"{each['cpu_seconds']:.1f}" for each in workers)
        restarts = document["worker_restarts"]
        lines.append(f"  workers     {len(workers)}, {restarts} restarts, CPU seconds {cpu}")
    if successor := document.get("successor"):
        lines.append(f"  take-over   process {successor} is about to take over")
    if predecessor := document.get("predecessor"):
        lines.append(f"  take-over   from process {predecessor}, which finishes what it has begun")
    for title, key in (("outcomes", "requests_by_outcome"), ("refusals", "refusals")):
        said = ", ".join(f"{word} {n}" for word, n in sorted(counters[key].items()))
        lines += [f"  {title:11} {said}"] if said else []
    return lines
