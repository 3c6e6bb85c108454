"""The command line, in this process and as one of its own, and a configuration for it."""

import subprocess
import sys

from click.testing import CliRunner

from edgeproxy.cli import main
from edgeproxy.tls.development import issue_leaf, make_ca

CONFIG = """\
config_version = 1

[pop]
name = "test1"
state_dir = "state"
[listen]
https = "127.0.0.1:{port}"

[origin.assets]
urls = ["https://assets.internal"]

[[host]]
name = "localhost"
aliases = ["a.localhost"]
origin = "assets"
cert = {{ chain = "leaf/fullchain.pem", key = "leaf/key.pem" }}

  [[host.rule]]
  id = "versioned"
  path = "/v{{semver}}/**"
  policy = "versioned"
"""


def certified(folder):
    """Make the certificate that the configuration names, and return the folder."""
    issue_leaf(make_ca(folder / "ca"), folder / "leaf", ("localhost", "a.localhost"))
    return folder


def config_file(folder, *changes, port=0, more=""):
    text = CONFIG.format(port=port) + more
    for old, new in changes:
        text = text.replace(old, new)
    path = folder / "edge.toml"
    path.write_text(text)
    return path


def invoke(*arguments):
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def run_program(*arguments):
    command = [sys.executable, "-m", "edgeproxy", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
