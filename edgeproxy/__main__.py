"""`python -m edgeproxy`: the same as the command `edgeproxy`."""

from edgeproxy.cli import main

main(prog_name="edgeproxy")
