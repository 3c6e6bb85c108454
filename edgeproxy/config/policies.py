"""What each kind of policy decides by default, and how the layers lie over each other.

Kind, then the named policy, then the rule's override: the last one that says something wins. The
defaults are written in the language of the file, so that an operator could have written them.
Nothing here looks at a path or a response.

Policies that cache forward no field that could make an answer one client's: not even Accept and
Accept-Language, which few origins of static files heed and fewer name in Vary. Who negotiates by
them lists them.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import get_args

from edgeproxy.config.schema import Config, Policy, PolicyKind, PolicyOptions, Rule

_WRITTEN: dict[PolicyKind, dict[str, object]] = {
    # The path names the bytes: nothing about them can change, and the query cannot matter.
    "versioned": {
        "edge_ttl": "1y",
        "negative_ttl": "10s",
        "stale_while_revalidate": "1d",
        "stale_if_error": "30d",
        "browser": "public, max-age=31536000, immutable",
        "query": "ignore",
        "forward_fields": ["accept-encoding"],
        "validators": True,
        "compress": ["br", "zstd", "gzip"],
    },
    # Until a purge can reach the edge, a new release shows after a minute.
    "entry": {
        "edge_ttl": "60s",
        "negative_ttl": "10s",
        "stale_while_revalidate": "5m",
        "stale_if_error": "24h",
        "browser": "public, max-age=86400, must-revalidate",
        "query": "all",
        "forward_fields": ["accept-encoding"],
        "validators": True,
        "compress": ["br", "zstd", "gzip"],
    },
    "manifest": {
        "edge_ttl": "5s",
        "negative_ttl": "5s",
        "stale_while_revalidate": "0s",
        "stale_if_error": "1h",
        "browser": "no-cache",
        "query": "all",
        "forward_fields": ["accept-encoding"],
        "validators": True,
        "compress": ["br", "zstd", "gzip"],
    },
    "pass": {
        "edge_ttl": "origin",
        "negative_ttl": "0s",
        "browser": "origin",
        "query": "all",
        "forward_fields": "all",
        "validators": False,
        "compress": [],
    },
    "transparent": {
        "edge_ttl": "origin",
        "negative_ttl": "0s",
        "browser": "origin",
        "query": "all",
        "forward_fields": "all",
        "validators": False,
        "compress": [],
    },
}

KINDS: tuple[PolicyKind, ...] = get_args(PolicyKind)

PRESETS: Mapping[PolicyKind, PolicyOptions] = MappingProxyType(
    {kind: PolicyOptions.model_validate(options) for kind, options in _WRITTEN.items()}
)
"""The options of each kind; None where it has nothing to say."""

WITHOUT_EFFECT_ON_PASS = (
    "edge_ttl",
    "default_ttl",
    "negative_ttl",
    "stale_while_revalidate",
    "stale_if_error",
    "compress",
)
"""What a policy that stores nothing cannot use."""


def kind_of(name: str, config: Config) -> PolicyKind | None:
    """Return the kind of a policy by its name, None when there is no such policy."""
    policy = config.policy.get(name)
    if policy is not None and policy.kind is not None:
        return policy.kind
    return next((kind for kind in KINDS if kind == name), None)


def resolve(rule: Rule, config: Config) -> tuple[PolicyKind, PolicyOptions]:
    """Return what decides for a rule, all layers merged.

    Raises:
        KeyError: the rule's policy does not exist; `lint` reports that before.
    """
    kind = kind_of(rule.policy, config)
    if kind is None:
        raise KeyError(rule.policy)
    layers = [config.policy.get(rule.policy, Policy()), rule.override]
    said = {
        name: value
        for layer in layers
        for name, value in layer
        if value is not None and name != "kind"
    }
    return kind, PRESETS[kind].model_copy(update=said)
