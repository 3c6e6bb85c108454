"""Keys of the design that this version does not have yet, so that they are told from misspelt ones.

A name leaves this list in the change that makes it work.
"""

from edgeproxy.config.locate import Loc

# `*` stands for a name or an index.
_LATER = frozenset(
    tuple(path.split("."))
    for path in [
        "admin",
        "fence",
        "fleet",
        "geo",
        "metrics",
        "rollout",
        "shield",
        "trace",
        "pop.region",
        "pop.role",
        "listen.admin",
        "tls.tickets",
        "cache.memory.policy",
        "origin.*.health",
        "origin.*.breaker",
        "origin.*.balance",
        "policy.*.coalesce",
        "policy.*.integrity",
        "policy.*.surrogate_key_prefix",
        "policy.*.vary",
        "policy.*.store",
        "cors.*.origins_file",
        "host.*.shield",
        "host.*.fence",
        "host.*.rule.*.rollout",
        "log.access.sample",
        "log.access.redact",
    ]
)


def is_later(loc: Loc) -> bool:
    """Tell whether the key at `loc` is planned, but not here yet."""
    return any(
        len(path) == len(loc)
        and all(part in ("*", str(actual)) for part, actual in zip(path, loc, strict=True))
        for path in _LATER
    )
