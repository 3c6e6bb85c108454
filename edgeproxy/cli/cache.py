"""`edgeproxy cache`: what is in the disk tier, whether it is sound, and an end to it.

Works on the folder, beside a running PoP or without one.
"""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose, see `edgeproxy.cli`.

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

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

# A few thousand bodies are a few seconds.
_PROGRESS_EVERY = 5000


@click.group()
def cache() -> None:
    """Look after the disk tier of the cache."""


@cache.command()
@config_option
@json_option
def stats(path: Path, *, as_json: bool) -> None:
    """Show how much is stored."""

    def run(folder: Path, bytes_max: int) -> int:
        from edgeproxy.store.disk import inspection

        said = {"path": str(folder), "bytes_max": bytes_max, **inspection.stats(folder)}
        if as_json:
            print_json(said)
        else:
            click.echo(
                f"{folder}: {said['objects']} stored responses, {said['bodies']} bodies, "
                f"{said['bytes']} of {bytes_max} bytes"
            )
        return OK

    sys.exit(_on_folder(path, run))


@cache.command()
@config_option
@json_option
@click.option("--repair", "is_repair", is_flag=True, help="Remove what is wrong.")
def verify(path: Path, *, as_json: bool, is_repair: bool) -> None:
    """Read every file and compare it with the index; exits with 1 where they disagree."""

    def run(folder: Path, _: int) -> int:
        from edgeproxy.store.disk import inspection

        report = inspection.verify(folder, is_repair=is_repair, progress=_progress)
        if as_json:
            print_json({"path": str(folder), **dataclasses.asdict(report)})
        else:
            for finding in report.findings:
                click.echo(f"{label('error')} {finding}", err=True)
            click.echo(
                f"{folder}: {report.responses} stored responses, {report.bodies} bodies, "
                f"{len(report.findings)} wrong, {report.repaired} repaired"
            )
        return FAILED if report.findings else OK

    sys.exit(_on_folder(path, run))


@cache.command()
@config_option
@json_option
def clear(path: Path, *, as_json: bool) -> None:
    """Remove everything from disk; what a running edge holds in memory stays."""

    def run(folder: Path, _: int) -> int:
        from edgeproxy.store.disk import inspection

        gone = inspection.clear(folder)
        if as_json:
            print_json({"path": str(folder), "removed": gone})
        else:
            click.echo(f"{folder}: {gone} stored responses removed")
        return OK

    sys.exit(_on_folder(path, run))


def _on_folder(path: Path, run: Callable[[Path, int], int]) -> int:
    """Find the folder, and say what is wrong with it."""

    def on_folder() -> int:
        from edgeproxy.config.compile import disk_settings
        from edgeproxy.config.load import inspect
        from edgeproxy.errors import StoreError
        from edgeproxy.store.disk import inspection

        settings = disk_settings(inspect(path, has_files=False).config)
        if settings is None:
            click.echo(f"{label('error')} the configuration has no [cache.disk]", err=True)
            return UNAVAILABLE
        if not inspection.exists(settings.folder):
            click.echo(f"{label('error')} nothing is stored in {settings.folder}", err=True)
            return UNAVAILABLE
        try:
            return run(settings.folder, settings.bytes_max)
        except StoreError as error:
            click.echo(f"{label('error')} {settings.folder}: {error}", err=True)
            return FAILED

    return guarded(on_folder)


def _progress(done: int, total: int) -> None:
    if done and done % _PROGRESS_EVERY == 0:
        click.echo(f"{done} of {total} bodies", err=True)
