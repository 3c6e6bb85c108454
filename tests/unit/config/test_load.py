from pathlib import Path

import pytest

from edgeproxy.config.load import inspect, load, load_text
from edgeproxy.errors import ConfigError
from tests.support.configs import HEAD, HOST, files, messages

SHIPPED = sorted((Path(__file__).parents[3] / "config").glob("*.toml"))


def written(folder, text):
    path = files(folder) / "edge.toml"
    path.write_text(text)
    return path


def test_a_file_becomes_a_configuration(tmp_path):
    assert load(written(tmp_path, HEAD + HOST), {}).host[0].name == "www.example"


def test_the_process_environment_counts(tmp_path, monkeypatch):
    monkeypatch.setenv("EDGEPROXY__POP__NAME", "ams1")
    assert load(written(tmp_path, HEAD + HOST)).pop.name == "ams1"


def test_a_text_becomes_a_configuration(tmp_path):
    assert load_text(HEAD + HOST, base=files(tmp_path)).pop.name == "edgeproxy"


LOUD = (
    "0 log.level: expected 'debug', 'info', 'warning' or 'error', not 'loud' "
    "(from EDGEPROXY__LOG__LEVEL)"
)


def test_all_problems_come_at_once_in_the_order_of_the_file(tmp_path):
    text = """\
config_version = 1
[pop]
nmae = "x"
[listen]
https = "here"
[origin.assets]
urls = ["https://assets.internal"]
[[host]]
name = "www.example"
orign = "asets"
cert = { chain = "none.pem", key = "key.pem" }
  [[host.rule]]
  id = "all"
  path = "/**"
  policy = "entry"
  [[host.rule]]
  id = "late"
  path = "/a"
  policy = "entyr"
"""
    assert messages(tmp_path, text, EDGEPROXY__LOG__LEVEL="loud") == [
        "3 pop.nmae: unknown key",
        "5 listen.https: expected an IP address and a port like \"[::]:443\", not 'here'",
        "8 host.0.origin: there is no [origin.asets]",
        "10 host.0.orign: unknown key",
        f"11 host.0.cert.chain: there is no file {tmp_path}/none.pem",
        "18 host.0.rule.1.path: the rule is never reached: earlier rules match all its paths",
        "19 host.0.rule.1.policy: there is no [policy.entyr]",
        LOUD,
    ]


def test_a_configuration_that_cannot_be_salvaged_still_says_what_is_wrong(tmp_path):
    assert sorted(messages(tmp_path, "config_version = 2\n")) == [
        "1 config_version: expected 1, not 2",
        "1 host: required, but not there",
        "1 listen: required, but not there",
    ]


def test_warnings_do_not_stop_anything(tmp_path):
    rule = '[[host.rule]]\nid = "r"\npath = "/*.js"\npolicy = "versioned"\n'
    loaded = inspect(written(tmp_path, HEAD + HOST + rule), {})
    assert [warning.line for warning in loaded.warnings] == [15]


def test_a_file_is_named_as_it_was_given(tmp_path):
    path = written(tmp_path, HEAD + HOST + "zzz = 1\n")
    with pytest.raises(ConfigError, match=str(path)):
        load(path, {})


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_configuration_loads_without_warnings(tmp_path, path):
    hosts = ("widgets.example.com", "www.example.com")
    for host in hosts:
        (tmp_path / host).mkdir()
        for name in ("fullchain.pem", "key.pem"):
            (tmp_path / host / name).touch()
    (tmp_path / "ca.pem").touch()
    environ = {"EDGEPROXY__TLS__CERTS_DIR": str(tmp_path)}
    if "ca_file" in path.read_text():
        environ["EDGEPROXY__ORIGIN__ASSETS__TLS__CA_FILE"] = str(tmp_path / "ca.pem")
    loaded = inspect(path, environ)
    assert loaded.warnings == ()


def test_production_sends_hsts():
    assert SHIPPED
    production = next(path for path in SHIPPED if path.name == "production.toml")
    assert "[hsts]" in production.read_text()


def test_what_runs_can_be_asked_for_while_files_are_missing(tmp_path):
    path = written(tmp_path, HEAD + HOST)
    for each in tmp_path.rglob("*.pem"):
        each.unlink()
    with pytest.raises(ConfigError, match="there is no file"):
        inspect(path, {})
    assert inspect(path, {}, has_files=False).config.host[0].name == "www.example"
