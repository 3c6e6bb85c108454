"""`edgeproxy certs`: the certificates of this edge, and those that any address presents."""

import click

from edgeproxy.cli.certs_dev import dev
from edgeproxy.cli.certs_running import reload, revert, status
from edgeproxy.cli.certs_verify import verify


@click.group()
def certs() -> None:
    """Look after certificates: what is served, what is on disk, what clients are shown."""


for _command in (status, verify, reload, revert, dev):
    certs.add_command(_command)
