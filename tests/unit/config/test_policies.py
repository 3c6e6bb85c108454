import pytest

from edgeproxy.config.policies import KINDS, PRESETS, kind_of, resolve
from edgeproxy.config.schema import PolicyOptions, Rule
from tests.support.configs import loaded

BROWSER = {
    "versioned": b"public, max-age=31536000, immutable",
    "entry": b"public, max-age=86400, must-revalidate",
    "manifest": b"no-cache",
    "pass": b"origin",
    "transparent": b"origin",
}


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_tells_browsers_what_the_product_promises(kind):
    assert PRESETS[kind].browser == BROWSER[kind]


def rule(policy, **override):
    return Rule.model_validate({"id": "r", "path": "/a", "policy": policy, "override": override})


def test_a_kind_can_be_used_without_being_declared(tmp_path):
    kind, options = resolve(rule("entry"), loaded(tmp_path))
    assert (kind, options) == ("entry", PRESETS["entry"])


def test_the_last_layer_that_says_something_wins(tmp_path):
    config = loaded(tmp_path, '[policy.entry]\nedge_ttl = "2m"\nnegative_ttl = "1s"\n')
    _, options = resolve(rule("entry", edge_ttl="3m"), config)
    assert options.edge_ttl == 180
    assert options.negative_ttl == 1
    assert options.stale_if_error == PRESETS["entry"].stale_if_error


def test_saying_no_is_saying_something(tmp_path):
    said = rule("versioned", validators=False, edge_ttl="0s", compress=[])
    _, options = resolve(said, loaded(tmp_path))
    assert options.validators is False
    assert options.compress == ()
    assert options.edge_ttl == 0


def test_a_named_policy_starts_from_its_kind(tmp_path):
    config = loaded(tmp_path, '[policy.fonts]\nkind = "versioned"\nquery = "all"\n')
    kind, options = resolve(rule("fonts"), config)
    assert kind == "versioned"
    assert options == PRESETS["versioned"].model_copy(update={"query": options.query})
    assert options.query.mode == "all"


def test_a_policy_that_does_not_exist(tmp_path):
    config = loaded(tmp_path)
    assert kind_of("nothing", config) is None
    with pytest.raises(KeyError):
        resolve(rule("nothing"), config)


def test_every_kind_decides_everything_that_compiling_needs():
    for options in PRESETS.values():
        assert isinstance(options, PolicyOptions)
        for name in (
            "edge_ttl",
            "negative_ttl",
            "browser",
            "query",
            "forward_fields",
            "validators",
            "compress",
        ):
            assert getattr(options, name) is not None
