import dataclasses
from pathlib import Path
from typing import get_args

import pytest
from pydantic import ValidationError

from edgeproxy.config.compile import LIMITS
from edgeproxy.config.schema import Config, GroupName, Hsts, Limits
from edgeproxy.config.tables import Section
from edgeproxy.tls.parameters import DEFAULT_GROUPS, GROUPS
from edgeproxy.wire.limits import Limits as WireLimits

LEAST = {
    "config_version": 1,
    "listen": {"https": "127.0.0.1:443"},
    "host": [{"name": "www.example", "origin": "a"}],
}


def config(**changes):
    return Config.model_validate(LEAST | changes, context={"base": Path()})


def models(model):
    yield model
    for child in model.__subclasses__():
        yield from models(child)


def test_the_least_configuration_has_every_default():
    least = config()
    assert least.pop.name == "edgeproxy"
    assert least.limits == Limits()
    assert least.hsts is None


def test_nothing_changes_after_loading():
    with pytest.raises(ValidationError, match="frozen"):
        config().pop.name = "x"


@pytest.mark.parametrize("model", list(models(Section)))
def test_every_table_is_strict_and_every_key_described(model):
    assert model.model_config["extra"] == "forbid"
    assert model.model_config["strict"]
    assert all(info.description for info in model.model_fields.values())


@pytest.mark.parametrize(
    "changes",
    [
        {"config_version": 2},
        {"config_version": "1"},
        {"host": []},
        {"log": {"access": {"enabled": "yes"}}},
        {"origin": {"a": {"urls": []}}},
        {"origin": {"a": {"urls": ["https://a", "https://b"]}}},
        {"origin": {"a": {"urls": ["https://a"], "retries": True}}},
        {"origin": {"9": {"urls": ["https://a"]}}},
        {"cache": {"memory": {"size": "1MiB", "max_object": "2MiB"}}},
        {"cors": {"a": {"origins": "*", "credentials": True}}},
        {"cors": {"a": {"origins": "*", "methods": ["TRACE"]}}},
        {"hsts": {"preload": True, "max_age": "1d"}},
        {"hsts": {"preload": True, "include_subdomains": False}},
        {"limits": {"max_connections": 0}},
        {"host": [{"name": "www.example", "origin": "a", "hsts": "yes"}]},
        {"host": [{"name": "www.example", "origin": "a", "hsts": {"max_age": 3}}]},
    ],
)
def test_nonsense_is_refused(changes):
    with pytest.raises(ValidationError):
        config(**changes)


def test_hsts_of_a_host_is_a_flag_or_a_table():
    def host(value):
        return config(host=[{"name": "a", "origin": "a", "hsts": value}]).host[0].hsts

    assert host(False) is False
    assert host({"max_age": "2y"}) == Hsts.model_validate({"max_age": "2y"})


def test_every_limit_has_the_default_of_the_code_that_obeys_it():
    defaults = {field.name: field.default for field in dataclasses.fields(WireLimits)}
    for key, name in LIMITS.items():
        assert Limits.model_fields[key].default == defaults[name], key
    assert set(Limits.model_fields) - set(LIMITS) == {
        "drain_timeout",
        "max_connections_per_client",
    }


def test_groups_are_those_that_tls_knows():
    assert get_args(GroupName) == tuple(GROUPS)
    assert config().tls.groups == DEFAULT_GROUPS
