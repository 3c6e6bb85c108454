"""`edgeproxy serve` and `edgeproxy demo`: what runs until it is told to stop."""

# ruff: noqa: PLC0415
# Imports stand inside the commands on purpose, see `edgeproxy.cli`.

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from edgeproxy.cli.shell import config_option, guarded, show


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


@contextmanager
def _no_collections() -> Iterator[None]:
    """Keep the collector still: what a start makes stays, and a tenth of its time was a search."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


@click.command()
@config_option
@click.option(
    "--take-over",
    is_flag=True,
    help="Take the place of the edge of this name that runs here, which then finishes what it has"
    " begun and ends: no client is refused. Starts as usual where none runs.",
)
def serve(path: Path, *, take_over: bool) -> None:
    """Run the edge until it is told to stop (SIGTERM, SIGINT); SIGHUP: reload."""

    def run() -> int:
        with _no_collections():
            from edgeproxy.cli.loading import load_all

            loaded = load_all(path)  # certificates again by the worker: here a fault knows its line
            show(loaded.warnings, "warning")
            from edgeproxy.config.load import inspect
            from edgeproxy.runtime.process import run as run_worker

        return run_worker(loaded.config, lambda: inspect(path), takes_over=take_over)

    sys.exit(guarded(run))


@click.command()
@_port_option("https", 8443, "Where the edge answers HTTP/2 and HTTP/1.1")
@_port_option("http", 8080, "Where plain HTTP is redirected")
@_port_option("origin", 8444, "Where the demo's origin answers")
@click.option(
    "--metrics-port",
    type=click.IntRange(0, 65535),
    envvar="EDGEPROXY_DEMO_METRICS_PORT",
    show_envvar=True,
    help="Where metrics are shown; 0 takes a free one; nowhere if left out.",
)
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("var/demo"),
    show_default=True,
    help="Where the local CA and certificates are kept.",
)
def demo(
    https_port: int, http_port: int, origin_port: int, metrics_port: int | None, folder: Path
) -> None:
    """Run an origin with a widget, and the edge in front of it, on this machine."""

    def run() -> int:
        from edgeproxy.emulator.demo import run as run_demo
        from edgeproxy.emulator.options import DemoOptions

        return run_demo(
            DemoOptions(
                https_port=https_port,
                http_port=http_port,
                origin_port=origin_port,
                metrics_port=metrics_port,
                folder=folder,
            )
        )

    sys.exit(guarded(run))
