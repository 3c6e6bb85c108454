"""Tests for edgeproxy/cli/certs.py."""

import pytest

from edgeproxy.cli.shell import OK
from tests.support.cli import invoke


@pytest.mark.parametrize("command", ["status", "verify", "reload", "revert", "dev"])
def test_every_command_explains_itself(command):
    result = invoke("certs", command, "--help")
    assert result.exit_code == OK
    assert "--json" in result.output
    assert command in invoke("certs", "--help").output
