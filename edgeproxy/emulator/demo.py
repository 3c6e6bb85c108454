"""`edgeproxy demo`: an origin with a widget, and the edge in front of it, in one process.

Makes what it needs (a local certificate authority, two certificates, a configuration) in one
folder, starts both servers on one event loop, says where they are, and ends on Ctrl-C. It has no
data path of its own: what answers is the same `PointOfPresence` that `edgeproxy serve` runs.
"""

import asyncio
import errno
import signal
import ssl
from contextlib import AsyncExitStack
from pathlib import Path

import click
import uvloop

from edgeproxy.config.load import load
from edgeproxy.emulator.assets import load_assets
from edgeproxy.emulator.options import DemoOptions
from edgeproxy.emulator.origin import HOST, DemoOrigin
from edgeproxy.emulator.settings import ORIGIN_NAME, write_settings
from edgeproxy.errors import UnavailableError
from edgeproxy.runtime.worker import PointOfPresence
from edgeproxy.tls.development import DevelopmentCa, issue_leaf, make_ca


def run(options: DemoOptions) -> int:
    """Run the demo until it is told to stop; return the exit code.

    Raises:
        UnavailableError: a port is taken.
        CertificateError: the folder's certificates can neither be used nor made anew.
    """
    uvloop.run(_demo(options))
    return 0


async def _demo(options: DemoOptions) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with AsyncExitStack() as stack:
        ca = make_ca(options.folder)
        origin = await _start_origin(options, ca)
        stack.push_async_callback(origin.aclose)
        issue_leaf(ca, options.folder / "edge")
        pop = PointOfPresence(load(write_settings(options, origin.port)))
        stack.push_async_callback(pop.aclose)
        await pop.start()
        _announce(pop, origin, ca.path)
        await stop.wait()
        click.echo("\nEnding: what is in flight may finish.")
        await pop.drain()


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
    try:
        await origin.start()
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise UnavailableError(
            f"cannot listen on {HOST}:{options.origin_port}: the port is taken by another program"
            " (EDGEPROXY_DEMO_ORIGIN_PORT or --origin-port chooses another one)"
        ) from error
    return origin


def _announce(pop: PointOfPresence, origin: DemoOrigin, ca: Path) -> None:
    """Say where everything is, and what to try first."""
    https, http = pop.https_addresses[0][1], pop.http_addresses[0][1]
    click.echo(
        f"""\
The edge    https://localhost:{https}/     HTTP/2 and HTTP/1.1 over TLS 1.3
            http://localhost:{http}/      redirects to it
The origin  https://localhost:{origin.port}/     what the edge pulls from, as {ORIGIN_NAME}

Try         curl --http2 --cacert {ca} -i https://localhost:{https}/bootstrap.js
            twice: the first answer comes from the origin, the second one from memory.
A browser   needs {ca} among its authorities (it is good for localhost only), or your
            leave to go on without.

One line per request follows. Ctrl-C ends."""
    )
