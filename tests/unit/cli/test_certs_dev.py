"""Tests for edgeproxy/cli/certs_dev.py."""

import json

import pytest

from edgeproxy.cli.shell import OK
from tests.support.ca import LocalCa
from tests.support.cli import config_file, invoke


def test_what_is_made_is_what_a_configuration_can_name(tmp_path):
    result = invoke("certs", "dev", "--dir", tmp_path / "dev", "--key-type", "both")
    assert result.exit_code == OK
    assert f'certs_dir = "{tmp_path}/dev"' in result.stdout
    assert f"curl --cacert {tmp_path}/dev/ca.pem https://localhost/" in result.stdout
    assert "names        localhost, 127.0.0.1, ::1" in result.stdout
    assert {path.name for path in (tmp_path / "dev" / "localhost").iterdir()} == {
        *("fullchain.pem", "key.pem", "fullchain-rsa.pem", "key-rsa.pem", "issuer.pem")
    }
    path = config_file(
        tmp_path,
        ('cert = { chain = "leaf/fullchain.pem", key = "leaf/key.pem" }\n', ""),
        ('aliases = ["a.localhost"]\n', ""),
        ("[listen]", '[tls]\ncerts_dir = "dev"\n\n[listen]'),
    )
    assert invoke("check", "-c", path).exit_code == OK


def test_for_machines_and_again(tmp_path):
    arguments = ("certs", "dev", "--dir", tmp_path, "--name", "A.localhost", "--json")
    first, again = json.loads(invoke(*arguments).stdout), json.loads(invoke(*arguments).stdout)
    assert first == again
    assert (first["name"], first["names"]) == ("a.localhost", ["a.localhost"])
    [certificate] = first["certificates"]
    assert certificate["key_type"] == "ecdsa"
    assert certificate["chain"] == str(tmp_path / "a.localhost" / "fullchain.pem")
    rsa = json.loads(invoke(*arguments, "--key-type", "rsa").stdout)
    assert [each["key_type"] for each in rsa["certificates"]] == ["rsa"]
    assert rsa["ca"] == first["ca"]


@pytest.mark.parametrize("name", ["shop.example", "../x.localhost", "::1%/../x", "10.0.0.1"])
def test_other_names_are_refused(tmp_path, name):
    result = invoke("certs", "dev", "--dir", tmp_path, "--name", name)
    assert result.exit_code == 2
    assert "issues for localhost, .localhost and loopback only" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_written(tmp_path):
    LocalCa(tmp_path)
    (tmp_path / "ca-key.pem").mkdir()
    assert invoke("certs", "dev", "--dir", tmp_path).exit_code != OK
