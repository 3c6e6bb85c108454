import pytest

from edgeproxy import __version__
from edgeproxy.cli.shell import (
    CONFIGURATION,
    INTERNAL,
    OK,
    PERMISSION,
    UNAVAILABLE,
    guarded,
)
from edgeproxy.errors import CertificateError, ConfigError, Problem, UnavailableError
from tests.support.cli import invoke


def test_it_says_its_version():
    result = invoke("--version")
    assert result.exit_code == OK
    assert __version__ in result.output


@pytest.mark.parametrize("command", [(), ("serve",), ("check",), ("demo",)])
def test_every_command_explains_itself(command):
    result = invoke(*command, "--help")
    assert result.exit_code == OK
    assert "Usage: " in result.output


@pytest.mark.parametrize(
    "arguments", [("check",), ("serve", "-x"), ("demo", "--https-port", "70000"), ("nothing",)]
)
def test_wrong_usage(arguments):
    assert invoke(*arguments).exit_code == 2


def raising(error):
    def run():
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (ConfigError([Problem("f", 3, "a", "b")]), CONFIGURATION, "error: f:3: a: b"),
        (CertificateError("bad"), CONFIGURATION, "error: bad"),
        (UnavailableError("taken"), UNAVAILABLE, "error: taken"),
        (PermissionError("no"), PERMISSION, "error: no"),
        (KeyboardInterrupt(), OK, ""),
        (RuntimeError("oops"), INTERNAL, "error: internal: RuntimeError('oops')"),
    ],
)
def test_every_end_has_its_exit_code(capsys, error, code, said):
    assert guarded(raising(error)) == code
    assert capsys.readouterr().err.rstrip("\n").endswith(said)


def test_a_command_that_ends_well():
    assert guarded(lambda: OK) == OK
