"""`edgeproxy demo`: an origin with a widget, and the edge in front of it, in one process.

Makes what it needs (a local certificate authority, two certificates, a configuration) in one
folder, starts both servers on one event loop, says where they are, and ends on Ctrl-C. It has no
data path of its own: what answers is the same `PointOfPresence` that `edgeproxy serve` runs.
"""

import asyncio
import ssl
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

import click
import uvloop

from edgeproxy.config.load import load
from edgeproxy.emulator.assets import load_assets
from edgeproxy.emulator.options import DemoOptions
from edgeproxy.emulator.origin import DemoOrigin
from edgeproxy.emulator.settings import ORIGIN_NAME, write_settings
from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.descriptors import give_up_stdout
from edgeproxy.runtime.signals import told_by_signals
from edgeproxy.runtime.worker import PointOfPresence
from edgeproxy.tls.development import DevelopmentCa, issue_leaf, make_ca

_OTHER_PORTS = (
    "others can be chosen by --https-port, --http-port and --origin-port, or by "
    "EDGEPROXY_DEMO_HTTPS_PORT, EDGEPROXY_DEMO_HTTP_PORT and EDGEPROXY_DEMO_ORIGIN_PORT"
)


def run(options: DemoOptions) -> int:
    """Run the demo until it is told to stop; return the exit code.

    Raises:
        UnavailableError: a port is taken.
        CertificateError: the folder's certificates can neither be used nor made anew.
    """
    try:
        uvloop.run(serve_demo(options, _say))
    except UnavailableError as error:
        raise UnavailableError(f"{error}; {_OTHER_PORTS}") from error
    return 0


def _say(text: str) -> None:
    try:
        click.echo(text)
    except OSError:  # nobody listens: `edgeproxy demo | head`
        give_up_stdout()


async def serve_demo(options: DemoOptions, announce: Callable[[str], object]) -> None:
    """Run the demo on this loop until SIGINT or SIGTERM; raises what `run` does."""
    told = told_by_signals()
    async with AsyncExitStack() as stack:
        ca = make_ca(options.folder)
        origin = await _start_origin(options, ca)
        stack.push_async_callback(origin.aclose)
        issue_leaf(ca, options.folder / "edge")
        pop = PointOfPresence(load(write_settings(options, origin.port)))
        stack.push_async_callback(pop.aclose)
        await pop.start()
        announce(_where(pop, origin, ca.path))
        await told.stop.wait()
        announce("\nEnding: what is in flight may finish.")
        await pop.drain(told.hurry)


async def _start_origin(options: DemoOptions, ca: DevelopmentCa) -> DemoOrigin:
    leaf = issue_leaf(ca, options.folder / "origin", [ORIGIN_NAME])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(leaf.chain_path, leaf.key_path)
    origin = DemoOrigin(
        load_assets(),
        context,
        port=options.origin_port,
        pause=lambda: asyncio.sleep(options.origin_latency_seconds),
    )
    await origin.start()
    return origin


def _where(pop: PointOfPresence, origin: DemoOrigin, ca: Path) -> str:
    """Say where everything is, and what to try first."""
    https, http = pop.https_addresses[0][1], pop.http_addresses[0][1]
    metrics = "".join(
        f"The metrics http://localhost:{port}/metrics\n" for _, port in pop.metrics_addresses
    )
    return f"""\
The edge    https://localhost:{https}/     HTTP/3, HTTP/2 and HTTP/1.1 over TLS 1.3
            http://localhost:{http}/      redirects to it
The origin  https://localhost:{origin.port}/     what the edge pulls from, as {ORIGIN_NAME}
{metrics}
Try         curl --http2 --cacert {ca} -i https://localhost:{https}/bootstrap.js
            twice: the first answer comes from the origin, the second one from memory.
A browser   needs {ca} among its authorities (it is good for
            localhost only), or your leave to go on without.

One line per request follows. Ctrl-C ends."""
