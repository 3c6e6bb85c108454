import json
import re

import pytest

from edgeproxy.cli.shell import CONFIGURATION, OK
from tests.support.ca import LocalCa
from tests.support.cli import certified, config_file, invoke, run_program


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return certified(tmp_path_factory.mktemp("cli"))


def test_check_says_what_would_run(folder):
    result = invoke("check", "-c", config_file(folder))
    assert result.exit_code == OK
    assert result.stderr == ""
    [first, host, rule, certificate, credential] = result.stdout.splitlines()
    assert first == "ok: test1 on 127.0.0.1:0"
    assert host == "  host localhost, a.localhost <- https://assets.internal"
    assert rule == "    rule versioned (versioned): /v{semver}/**"
    assert certificate == "  certificate localhost, a.localhost"
    assert re.fullmatch(
        r"    ecdsa \d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d, SHA-256 [0-9a-f]{64}", credential
    )


def test_check_says_where_there_are_no_rules(folder):
    path = config_file(folder)
    path.write_text(path.read_text().partition("  [[host.rule]]")[0])
    assert "no rules: a transparent shared cache" in invoke("check", "-c", path).stdout


def test_check_warns_and_goes_on(folder):
    result = invoke("check", "-c", config_file(folder, ("/v{semver}/**", "/static/**")))
    assert result.exit_code == OK
    assert result.stderr.startswith("warning: ")
    assert "edge.toml:20: host.0.rule.0.path: " in result.stderr


def test_check_for_machines(folder):
    result = invoke("check", "--json", "-c", config_file(folder))
    summary = json.loads(result.stdout)
    assert result.exit_code == OK
    assert summary["ok"] is True
    assert summary["hosts"][0]["rules"][0]["path"] == ["/v{semver}/**"]
    assert summary["certificates"][0]["names"] == ["localhost", "a.localhost"]
    [credential] = summary["certificates"][0]["credentials"]
    assert credential["kind"] == "ecdsa"
    assert credential["not_before"] < credential["not_after"]
    assert len(credential["sha256"]) == 64
    assert summary["warnings"] == []


def test_check_shows_both_kinds_and_warns_of_keys_that_all_may_read(tmp_path):
    ca = LocalCa(tmp_path / "ca")
    names = ("localhost", "a.localhost")
    pairs = [ca.issue(*names, key=key, directory=tmp_path / key) for key in ("rsa", "ecdsa")]
    pairs[0].key_path.chmod(0o644)
    tables = ", ".join(
        f'{{ chain = "{each.chain_path}", key = "{each.key_path}" }}' for each in pairs
    )
    single = '{ chain = "leaf/fullchain.pem", key = "leaf/key.pem" }'
    path = config_file(tmp_path, (single, f"[{tables}]"))
    result = invoke("check", "-c", path)
    assert result.exit_code == OK
    shown = [line.split()[0] for line in result.stdout.splitlines()[-2:]]
    assert shown == ["ecdsa", "rsa"]
    assert f"warning: {path}:16: host.0.cert.0.key: {pairs[0].key_path}: every" in result.stderr
    machine = json.loads(invoke("check", "--json", "-c", path).stdout)
    assert [each["path"] for each in machine["warnings"]] == ["host.0.cert.0.key"]


def test_each_fault_is_one_line_with_file_and_line(folder):
    path = config_file(
        folder,
        ('name = "test', 'nmae = "test'),
        ("leaf/key.pem", "none/key.pem"),
        ("/v{semver}/**", "/**"),
        more='\n[[host.rule]]\nid = "late"\npath = "/x"\npolicy = "entry"\n',
    )
    result = invoke("check", "-c", path)
    assert result.exit_code == CONFIGURATION
    assert result.stdout == ""
    unreachable = "the rule is never reached: earlier rules match all its paths"
    assert result.stderr.splitlines() == [
        f"error: {path}:4: pop.nmae: unknown key (did you mean 'name'?)",
        f"error: {path}:16: host.0.cert.key: there is no file {folder}/none/key.pem",
        f"error: {path}:25: host.0.rule.1.path: {unreachable}",
    ]


def test_faults_for_machines(folder):
    path = config_file(folder, ("test1", "9"))
    result = invoke("check", "--json", "-c", path)
    assert result.exit_code == CONFIGURATION
    assert json.loads(result.stdout) == {
        "ok": False,
        "problems": [
            {
                "file": str(path),
                "line": 4,
                "path": "pop.name",
                "message": "expected a letter, then letters, digits, '.', '_' or '-', not '9'",
                "nearest": None,
            }
        ],
    }


def test_check_loads_the_certificates(folder):
    path = config_file(folder, ("a.localhost", "b.localhost"))
    result = invoke("check", "-c", path)
    assert result.exit_code == CONFIGURATION
    assert f"{path}:14: host.0.aliases: no certificate covers b.localhost" in result.stderr


def test_the_program_itself(folder):
    path = config_file(folder, ("test1", "9"))
    result = run_program("check", "-c", path)
    assert result.returncode == CONFIGURATION
    assert result.stderr.startswith(f"error: {path}:4: pop.name: ")
