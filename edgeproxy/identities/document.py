"""Describes kept identities for people and programs: the document of `/v1/certificates`.

JSON-ready: moments are ISO 8601 in UTC, None where there is none. Decides nothing.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

from edgeproxy.identities.held import Held, Previous
from edgeproxy.tls.credential import Credential
from edgeproxy.tls.identity import Identity
from edgeproxy.tls.ocsp.staple import Staple
from edgeproxy.tls.ocsp.stapler import Progress, Stapler

_DAY_SECONDS: Final = 86_400.0
_NOBODY_ASKED: Final = Progress(responder=None, must_staple=False)


def document(held: Iterable[Held], now: float) -> dict[str, object]:
    """Describe all of them."""
    return {"identities": [describe(each, now) for each in held]}


def describe(held: Held, now: float) -> dict[str, object]:
    """Describe one identity and how it came to be live."""
    held.previous_now(now)
    identity, load = held.live.identity, held.last_load
    return {
        "name": held.name,
        "names": list(identity.names),
        "active_since": _moment(held.active_since),
        "is_withheld": held.is_withheld,
        "credentials": [
            _credential(each, held.live.staplers.get(each.fingerprint))
            for each in identity.credentials
        ],
        "last_load": {"at": _moment(load.at), "result": load.result, "detail": load.detail},
        "previous": _previous(held.previous),
    }


def days_left(identity: Identity, now: float) -> float:
    """Return the days until the first certificate expires; negative once it has."""
    return (identity.not_after.timestamp() - now) / _DAY_SECONDS


def _credential(credential: Credential, stapler: Stapler | None) -> dict[str, object]:
    progress = _NOBODY_ASKED if stapler is None else stapler.progress
    return {
        "kind": credential.kind,
        "sha256": credential.fingerprint,
        "subject": credential.leaf.subject.rfc4514_string(),
        "issuer": credential.leaf.issuer.rfc4514_string(),
        "not_before": credential.not_before.isoformat(),
        "not_after": credential.not_after.isoformat(),
        "ocsp": {
            "responder": progress.responder,
            "must_staple": progress.must_staple,
            "last_result": progress.last_result,
            "last_attempt": _moment(progress.last_attempt),
            "next_attempt": _moment(progress.next_attempt),
            "staple": _staple(credential.staple),
        },
    }


def _staple(staple: Staple | None) -> dict[str, object] | None:
    if staple is None:
        return None
    return {
        "this_update": _moment(staple.this_update),
        "next_update": _moment(staple.next_update),
        "usable_until": _moment(staple.usable_until),
    }


def _previous(previous: Previous | None) -> dict[str, object] | None:
    if previous is None:
        return None
    return {
        "sha256": list(previous.identity.fingerprints),
        "until": _moment(previous.until),
    }


def _moment(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
