"""Counts and facts of several processes: their form between them, and their sum.

Plain data in, plain data out: who asks whom, and when, is not known here. What goes between
processes is JSON of the same version of the program, so nothing in it is optional.

Invariant: a sum of counts never goes down when a process that it holds ends (`ended`).
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from edgeproxy.observe.counters import Counters
from edgeproxy.observe.facts import Facts, TierFacts

# Tiers that all processes have in common: each tells the size of the whole.
SHARED_TIERS = frozenset({"disk"})


def pack_counters(counters: Counters) -> dict[str, object]:
    """Return counts as JSON has them: keys of several words become lists."""
    packed: dict[str, object] = {}
    for name in counters.__slots__:
        value = getattr(counters, name)
        packed[name] = value if isinstance(value, int) else list(value.items())
    return packed


def unpack_counters(packed: Mapping[str, Any]) -> Counters:
    """Return what `pack_counters` was given."""
    counters = Counters()
    for name in counters.__slots__:
        value = packed[name]
        if isinstance(value, int):
            setattr(counters, name, value)
            continue
        counts = getattr(counters, name)
        for key, count in value:
            counts[tuple(key) if isinstance(key, list) else key] = count
    return counters


def add_counters(sum_of: Counters, other: Counters) -> None:
    """Add the counts of `other` to those of `sum_of`."""
    for name in sum_of.__slots__:
        value = getattr(other, name)
        if isinstance(value, int):
            setattr(sum_of, name, getattr(sum_of, name) + value)
            continue
        counts = getattr(sum_of, name)
        for key, count in value.items():
            counts[key] = counts.get(key, 0) + count


def pack_facts(facts: Facts) -> dict[str, object]:
    """Return what is true of a process that serves as JSON has it; certificates are not its."""
    return {
        "connections": dict(facts.connections),
        "refusals": dict(facts.refusals),
        "tiers": {name: dataclasses.astuple(tier) for name, tier in facts.tiers.items()},
        "disk_faults": dict(facts.disk_faults),
        "quic_replies": dict(facts.quic_replies),
        "early_data": dict(facts.early_data),
        "datagrams_lost": facts.datagrams_lost,
    }


def unpack_facts(packed: Mapping[str, Any]) -> Facts:
    """Return what `pack_facts` was given."""
    return Facts(
        connections=packed["connections"],
        refusals=packed["refusals"],
        tiers={name: TierFacts(*tier) for name, tier in packed["tiers"].items()},
        disk_faults=packed["disk_faults"],
        quic_replies=packed["quic_replies"],
        early_data=packed["early_data"],
        datagrams_lost=packed["datagrams_lost"],
    )


def ended(facts: Facts) -> Facts:
    """Return what of a process's facts still counts once it has ended: only what it counted."""
    return Facts(
        refusals=facts.refusals,
        tiers={name: TierFacts(0, 0, 0, tier.evictions) for name, tier in facts.tiers.items()},
        disk_faults=facts.disk_faults,
        quic_replies=facts.quic_replies,
        early_data=facts.early_data,
        datagrams_lost=facts.datagrams_lost,
    )


def sum_facts(all_facts: Iterable[Facts]) -> Facts:
    """Return what is true of all of them together; of processes and certificates they know none."""
    connections: Counter[str] = Counter()
    refusals: Counter[str] = Counter()
    faults: Counter[str] = Counter()
    replies: Counter[str] = Counter()
    early: Counter[str] = Counter()
    lost = 0
    tiers: dict[str, TierFacts] = {}
    for facts in all_facts:
        connections.update(facts.connections)
        refusals.update(facts.refusals)
        faults.update(facts.disk_faults)
        replies.update(facts.quic_replies)
        early.update(facts.early_data)
        lost += facts.datagrams_lost
        for name, tier in facts.tiers.items():
            known = tiers.get(name)
            tiers[name] = tier if known is None else _together(name, known, tier)
    return Facts(
        connections=dict(connections),
        refusals=dict(refusals),
        tiers=tiers,
        disk_faults=dict(faults),
        quic_replies=dict(replies),
        early_data=dict(early),
        datagrams_lost=lost,
    )


def _together(name: str, one: TierFacts, other: TierFacts) -> TierFacts:
    evictions = one.evictions + other.evictions
    if name in SHARED_TIERS:
        return TierFacts(
            max(one.objects, other.objects),
            max(one.bytes, other.bytes),
            max(one.bytes_max, other.bytes_max),
            evictions,
        )
    return TierFacts(
        one.objects + other.objects,
        one.bytes + other.bytes,
        one.bytes_max + other.bytes_max,
        evictions,
    )
