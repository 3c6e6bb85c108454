"""The command line: reads arguments, calls one function, turns its fate into an exit code.

No decision about traffic is made here. One file per group of commands; what they have in common
(exit codes, faults, `--json`) is `shell`. Imports of weight happen inside the commands, so that
`--help`, `--version` and shell completion answer at once: pydantic, cryptography and the listeners
take half a second.
"""

import click

from edgeproxy import __version__
from edgeproxy.cli.cache import cache
from edgeproxy.cli.certs import certs
from edgeproxy.cli.checking import check
from edgeproxy.cli.getting import get
from edgeproxy.cli.reloading import reload
from edgeproxy.cli.serving import demo, serve
from edgeproxy.cli.status import status


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="edgeproxy")
def main() -> None:
    """A self-hosted CDN point of presence: an edge cache in front of your origin."""


for _command in (serve, check, reload, status, get, cache, certs, demo):
    main.add_command(_command)
