"""Loads what a command is about: a configuration with its certificates, faults with their lines."""

from pathlib import Path
from typing import NamedTuple

from edgeproxy.config.certificates import certificate_warnings, load_certificates
from edgeproxy.config.document import Document
from edgeproxy.config.load import inspect
from edgeproxy.config.schema import Config
from edgeproxy.errors import Problem
from edgeproxy.tls.identity import Identity


class Inspected(NamedTuple):
    """What can be served, what is unwise about it, and where it was read."""

    config: Config
    identities: tuple[Identity, ...]
    warnings: tuple[Problem, ...]
    document: Document


def load_all(path: Path) -> Inspected:
    """Load a configuration and the certificates that it names.

    Raises:
        ConfigError: with every problem.
    """
    loaded = inspect(path)
    problem = loaded.document.problem
    identities = load_certificates(loaded.config, problem)
    unwise = certificate_warnings(loaded.config, identities, problem)
    warnings = (*loaded.warnings, *unwise)
    return Inspected(loaded.config, identities, warnings, loaded.document)
