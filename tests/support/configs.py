"""Configurations for tests: a small valid one, with files that it can name."""

from pathlib import Path

from edgeproxy.config.document import parse
from edgeproxy.config.load import Loaded, judge
from edgeproxy.config.schema import Config
from edgeproxy.errors import ConfigError, Problem

HEAD = """\
config_version = 1

[listen]
https = "127.0.0.1:8443"

[origin.assets]
urls = ["https://assets.internal"]
"""

HOST = """
[[host]]
name = "www.example"
origin = "assets"
cert = { chain = "chain.pem", key = "key.pem" }
"""


def files(folder: Path) -> Path:
    """Make the files that HOST names; they only have to be there."""
    for name in ("chain.pem", "key.pem", "ca.pem"):
        (folder / name).touch()
    return folder


def judged(folder: Path, text: str, **environ: str) -> Loaded:
    files(folder)
    return judge(parse(text, file="edge.toml", base=folder, environ=environ))


def loaded(folder: Path, extra: str = "", head: str = HEAD, host: str = HOST) -> Config:
    return judged(folder, head + host + extra).config


def problems(folder: Path, text: str, **environ: str) -> list[Problem]:
    """Return what is wrong with a text, [] for nothing."""
    try:
        judged(folder, text, **environ)
    except ConfigError as error:
        return list(error.problems)
    return []


def messages(folder: Path, text: str, **environ: str) -> list[str]:
    """Return problems as `line path: message`, which reads well in an assertion."""
    return [f"{p.line} {p.path}: {p.message}" for p in problems(folder, text, **environ)]
