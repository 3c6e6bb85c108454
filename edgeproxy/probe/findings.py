"""What is wrong with a set of addresses: each by itself, and where they differ from each other.

Pure: from inspections to findings, each with the address it is about. Addresses are compared for
the same server name and key type; what most of them show is taken for right, of equally many what
was issued last, since the one that was forgotten in a renewal is older.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from edgeproxy.probe.certificates import complaints, fingerprint
from edgeproxy.probe.inspection import Credential, Inspection, Old, Target
from edgeproxy.probe.staples import NO_ISSUER
from edgeproxy.tls.ocsp.certificate import must_staple

SHORT = 16


@dataclass(frozen=True, slots=True)
class Expectations:
    """What an operator asks for beyond a valid certificate."""

    fingerprints: frozenset[str] = frozenset()
    requires_staple: bool = False
    days_min: float = 0.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong or differs, and where; `key_type` is "" where it is about none."""

    where: str
    name: str
    key_type: str
    message: str

    def __str__(self) -> str:
        about = " ".join(filter(None, (self.where, self.name, self.key_type)))
        return f"{about}: {self.message}"


def findings(
    inspections: Sequence[Inspection], expected: Expectations, now: float
) -> list[Finding]:
    """Return everything that is wrong, address by address, then the differences."""
    found = [each for one in inspections for each in _of_one(one, expected, now)]
    groups: dict[str | None, list[Inspection]] = {}
    for one in inspections:
        groups.setdefault(one.target.sni, []).append(one)
    for group in groups.values():
        found += _differences(group, has_expected=bool(expected.fingerprints))
    return found


def _of_one(one: Inspection, expected: Expectations, now: float) -> Iterator[Finding]:
    for each in one.credentials:
        if each.is_there:
            for message in _about(one.target, each, expected, now):
                yield _finding(one.target, each.key_type, message)
        elif not each.is_absent:
            kind = "" if each.key_type == "any" else each.key_type
            yield _finding(one.target, kind, f"failed: {each.seen.failure}")
    for version, outcome in one.old_versions:
        if outcome is Old.ACCEPTED:
            yield _finding(one.target, "", f"accepts TLS {short_version(version)}")


def _about(target: Target, each: Credential, expected: Expectations, now: float) -> Iterator[str]:
    leaf = each.seen.chain[0]
    yield from complaints(each.seen.chain, target.host, now, expected.days_min)
    if expected.fingerprints and fingerprint(leaf) not in expected.fingerprints:
        yield f"the certificate {fingerprint(leaf)[:SHORT]} is not one of those expected"
    reasons = [why.text for why in each.seen.distrust if not (why.depth == 0 and why.is_of_dates)]
    if reasons:
        yield f"the chain is not trusted: {reasons[0]}"
    yield from _about_staple(each, expected)


def _about_staple(each: Credential, expected: Expectations) -> Iterator[str]:
    if each.staple.word == NO_ISSUER:
        yield "the staple cannot be judged: the chain sent lacks the issuer"
    elif each.staple.is_there and not each.staple.is_good:
        yield f"the staple is not good: {each.staple.word}"
    elif not each.staple.is_there and must_staple(each.seen.chain[0]):
        yield "no staple, which the certificate requires"
    elif not each.staple.is_there and expected.requires_staple:
        yield "no staple"


def _differences(group: Sequence[Inspection], *, has_expected: bool) -> Iterator[Finding]:
    kinds = dict.fromkeys(
        each.key_type for one in group for each in one.credentials if each.is_there
    )
    for kind in kinds:
        yield from _differences_of(kind, group, has_expected=has_expected)
    yield from _without_resumption(group)


def _differences_of(
    kind: str, group: Sequence[Inspection], *, has_expected: bool
) -> Iterator[Finding]:
    there = [(one, each) for one in group for each in _present(one, kind)]
    for one in group:
        is_told = any(each.key_type == kind and not each.is_absent for each in one.credentials)
        if any(each.is_there for each in one.credentials) and not is_told:
            message = f"has no {kind} certificate, which {_others(len(there))} {_have(there)}"
            yield _finding(one.target, kind, message)
    if not has_expected:
        yield from _other_certificates(there, kind)
    yield from _other_chains(there, kind)
    yield from _other_staples(there, kind)


def _other_certificates(there: list[tuple[Inspection, Credential]], kind: str) -> Iterator[Finding]:
    prints = [fingerprint(each.seen.chain[0]) for _, each in there]
    issued = {fingerprint(each.seen.chain[0]): each.seen.chain[0] for _, each in there}
    counts = Counter(prints)
    right = max(counts, key=lambda one: (counts[one], issued[one].not_valid_before_utc))
    for (one, each), own in zip(there, prints, strict=True):
        if own == right:
            continue
        begins = each.seen.chain[0].not_valid_before_utc
        others_begin = issued[right].not_valid_before_utc
        word = "an older" if begins < others_begin else "another"
        yield _finding(
            one.target,
            kind,
            f"has {word} certificate ({own[:SHORT]} of {begins:%Y-%m-%d}) than "
            f"{_others(counts[right])} ({right[:SHORT]} of {others_begin:%Y-%m-%d})",
        )


def _other_chains(there: list[tuple[Inspection, Credential]], kind: str) -> Iterator[Finding]:
    """Compare what follows the leaf, among those with the same leaf."""
    by_leaf: dict[str, list[tuple[Inspection, tuple[str, ...]]]] = {}
    for one, each in there:
        leaf, rest = each.seen.chain[0], tuple(map(fingerprint, each.seen.chain[1:]))
        by_leaf.setdefault(fingerprint(leaf), []).append((one, rest))
    for same in by_leaf.values():
        counts = Counter(rest for _, rest in same)
        right = max(counts, key=lambda rest: (counts[rest], len(rest)))
        for one, rest in same:
            if rest != right:
                message = (
                    f"sends {len(rest)} other certificates after its own, "
                    f"{_others(counts[right])} {len(right)}"
                    if len(rest) != len(right)
                    else f"sends another chain than {_others(counts[right])}"
                )
                yield _finding(one.target, kind, message)


def _other_staples(there: list[tuple[Inspection, Credential]], kind: str) -> Iterator[Finding]:
    stapling = sum(each.staple.is_there for _, each in there)
    if 0 < stapling < len(there):
        for one, each in there:
            if not each.staple.is_there:
                yield _finding(one.target, kind, f"sends no staple, unlike {_others(stapling)}")


def _without_resumption(group: Iterable[Inspection]) -> Iterator[Finding]:
    judged = [one for one in group if one.resumes is not None]
    resuming = sum(bool(one.resumes) for one in judged)
    if 0 < resuming < len(judged):
        for one in judged:
            if not one.resumes:
                message = f"does not resume sessions, unlike {_others(resuming)}"
                yield _finding(one.target, "", message)


def short_version(version: str) -> str:
    """Return the number of a version of TLS."""
    return "1.0" if version == "TLSv1" else version.removeprefix("TLSv")


def _present(one: Inspection, kind: str) -> Iterator[Credential]:
    return (each for each in one.credentials if each.is_there and each.key_type == kind)


def _have(there: Sequence[object]) -> str:
    return "has" if len(there) == 1 else "have"


def _others(count: int) -> str:
    return "another address" if count == 1 else f"{count} other addresses"


def _finding(target: Target, kind: str, message: str) -> Finding:
    return Finding(target.where, target.sni or "", kind, message)
