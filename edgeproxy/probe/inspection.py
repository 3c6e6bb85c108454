"""Everything that is asked of one address under one name: a few handshakes in a row.

One per key type, one that resumes the first, one per older version of TLS, which an edge of TLS 1.3
refuses. Stops early where nobody answers, so that an address that is down costs one deadline.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from cryptography import x509

from edgeproxy.probe.addresses import Address
from edgeproxy.probe.certificates import key_type
from edgeproxy.probe.handshake import Handshakes, Observation, Stage
from edgeproxy.probe.offers import KEY_TYPES, KeyType, Offer
from edgeproxy.probe.staples import StapleState, issuer_of, judge

OLD_VERSIONS: Final = ("TLSv1.2", "TLSv1.1", "TLSv1")


@dataclass(frozen=True, slots=True)
class Target:
    """An address as it was given, one of its IP addresses, and the name to ask it for.

    `sni` is None for IP addresses, which are no server names (RFC 6066 section 3); `host` is what
    the certificate must then be for.
    """

    given: Address
    address: Address
    sni: str | None

    @property
    def host(self) -> str:
        """Return what the certificate has to cover."""
        return self.given.host if self.sni is None else self.sni

    @property
    def where(self) -> str:
        """Return the address for people: with the name it was found by, if it has one."""
        if self.given.is_literal:
            return str(self.address)
        return f"{self.address} ({self.given.host})"


@dataclass(frozen=True, slots=True)
class Credential:
    """What a target presented for one key type, or why it did not.

    `is_absent`: it has none, and nobody insisted on one.
    """

    key_type: str
    seen: Observation
    staple: StapleState
    issuer: x509.Certificate | None = None
    asked: Offer | None = None
    is_absent: bool = False

    @property
    def is_there(self) -> bool:
        """Whether there is a certificate to speak of."""
        return self.seen.is_complete and bool(self.seen.chain)

    @property
    def has_sent_issuer(self) -> bool:
        """Whether the chain as sent holds the leaf's issuer."""
        return self.issuer is not None and self.issuer in self.seen.chain[1:]


class Old(StrEnum):
    """What became of an offer of an older version."""

    REFUSED = "refused"
    ACCEPTED = "accepted"
    UNTESTABLE = "not testable with this OpenSSL"
    UNKNOWN = "no answer"


@dataclass(frozen=True, slots=True)
class Inspection:
    """All that one target showed. `resumes` is None where there was nothing to resume."""

    target: Target
    credentials: tuple[Credential, ...]
    old_versions: tuple[tuple[str, Old], ...] = ()
    resumes: bool | None = None


async def inspect(
    target: Target,
    handshakes: Handshakes,
    *,
    wanted: Sequence[KeyType],
    now: float,
) -> Inspection:
    """Return what the target shows for these key types; for none of them: for any it has."""
    first = await _observe(target, handshakes, Offer(wanted[0] if wanted else KEY_TYPES[0]))
    if first.stage in (Stage.CONNECT, Stage.TIMEOUT):
        return Inspection(target, (Credential("any", first, StapleState("none")),))
    seen: dict[str, Observation] = {wanted[0] if wanted else KEY_TYPES[0]: first}
    for kind in wanted[1:] or (KEY_TYPES[1:] if not wanted else ()):
        seen[kind] = await _observe(target, handshakes, Offer(kind))
    if not wanted and not any(_is_of(kind, each) for kind, each in seen.items()):
        seen = {"any": await _observe(target, handshakes, Offer())}
    credentials = tuple(_credential(kind, each, now) for kind, each in seen.items())
    return Inspection(
        target,
        credentials if wanted else _with_absences(credentials),
        await _old_versions(target, handshakes),
        await _resumes(target, handshakes, credentials),
    )


async def _observe(target: Target, handshakes: Handshakes, offer: Offer) -> Observation:
    return await handshakes.observe(target.address, target.sni, offer, wants_session=True)


def _is_of(kind: str, seen: Observation) -> bool:
    return seen.is_complete and bool(seen.chain) and key_type(seen.chain[0]) == kind


def _credential(kind: str, seen: Observation, now: float) -> Credential:
    if not seen.is_complete or not seen.chain:
        return Credential(kind, seen, StapleState("none"))
    leaf = seen.chain[0]
    if kind not in ("any", key_type(leaf)):
        # Some servers of TLS 1.2 send their only certificate whatever the client has offered.
        other = Observation(Stage.HANDSHAKE, f"sends a certificate of type {key_type(leaf)}")
        return Credential(kind, other, StapleState("none"))
    issuer = issuer_of(leaf, (*seen.chain[1:], *seen.verified[1:]))
    staple = judge(seen.staple, leaf, issuer, now)
    asked = Offer(next((each for each in KEY_TYPES if each == kind), None))
    return Credential(key_type(leaf), seen, staple, issuer, asked)


def _with_absences(credentials: tuple[Credential, ...]) -> tuple[Credential, ...]:
    """A kind that is refused where the other one works is not there."""
    if not any(each.is_there for each in credentials):
        return credentials
    return tuple(
        Credential(each.key_type, each.seen, each.staple, is_absent=True)
        if each.seen.stage is Stage.HANDSHAKE
        else each
        for each in credentials
    )


async def _resumes(
    target: Target, handshakes: Handshakes, credentials: tuple[Credential, ...]
) -> bool | None:
    for each in credentials:
        if not each.is_there:
            continue
        if each.seen.session is None:
            return False
        # a session belongs to the context of its offer
        again = await handshakes.observe(
            target.address, target.sni, each.asked or Offer(), session=each.seen.session
        )
        return again.is_resumed
    return None


async def _old_versions(target: Target, handshakes: Handshakes) -> tuple[tuple[str, Old], ...]:
    found = []
    for version in OLD_VERSIONS:
        offer = Offer(oldest=version, newest=version, wants_staple=False)
        seen = await handshakes.observe(target.address, target.sni, offer)
        found.append((version, _OUTCOMES[seen.stage]))
    return tuple(found)


_OUTCOMES: Final = {
    Stage.DONE: Old.ACCEPTED,
    Stage.HANDSHAKE: Old.REFUSED,
    Stage.UNTESTABLE: Old.UNTESTABLE,
    Stage.CONNECT: Old.UNKNOWN,
    Stage.TIMEOUT: Old.UNKNOWN,
}
