"""What the running edge says of its certificates, beside the files: what is wrong, and as text.

Pure: the document is the one of `GET /v1/certificates`. It may come from an older or newer edge, so
nothing in it is taken for granted.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from edgeproxy.cli.certs_disk import OnDisk
from edgeproxy.probe.table import span

Document = Mapping[str, Any]
SHORT = 16


def problems(served: Document | None, disk: Sequence[OnDisk], now: float) -> list[str]:
    """Say what is wrong, a sentence each; `served` is None where nothing runs."""
    found = [
        f"{each.name}: the pair on disk is bad: {each.problem}" for each in disk if each.problem
    ]
    if served is None:
        return found
    identities = _list(served, "identities")
    for identity in identities:
        name = str(identity.get("name"))
        found += [f"{name}: {message}" for message in _of_identity(identity, now)]
    return found + list(_compared(identities, disk))


def lines(served: Document | None, disk: Sequence[OnDisk], now: float) -> Iterator[str]:
    """Yield what is served, or what would be, for people."""
    if served is None:
        for each in disk:
            yield from _disk_lines(each, now)
        return
    for identity in _list(served, "identities"):
        yield from _identity_lines(identity, now)
        for each in disk:
            if each.name == identity.get("name") and not each.problem:
                is_same = set(each.fingerprints) == set(_fingerprints(identity))
                yield f"  on disk: {'the same' if is_same else _short(each.fingerprints)}"


def _of_identity(identity: Document, now: float) -> Iterator[str]:
    if identity.get("is_withheld"):
        yield "withheld: the certificate requires a staple, and there is none"
    load = _table(identity, "last_load")
    if load.get("result") == "failed" or (load.get("result") == "kept" and load.get("detail")):
        yield f"the last load failed: {load.get('detail') or 'no reason given'}"
    for each in _list(identity, "credentials"):
        kind, ends = each.get("kind"), _moment(each.get("not_after"))
        if ends is not None and ends < now:
            yield f"the {kind} certificate served has expired"
        yield from _of_staple(str(kind), _table(each, "ocsp"), now)


def _of_staple(kind: str, ocsp: Document, now: float) -> Iterator[str]:
    if not ocsp.get("responder") and not ocsp.get("must_staple"):
        return
    staple, result = _table(ocsp, "staple"), ocsp.get("last_result")
    ends = _moment(staple.get("usable_until") or staple.get("next_update"))
    if ends is not None and ends < now:
        yield f"the staple of the {kind} certificate has expired"
    if result == "revoked":
        yield f"the {kind} certificate is revoked"
    elif ends is None and result not in (None, "good"):
        yield f"no staple for the {kind} certificate: {result}"
    elif ends is None and ocsp.get("must_staple"):
        yield f"no staple for the {kind} certificate, which requires one"


def _compared(identities: Sequence[Document], disk: Sequence[OnDisk]) -> Iterator[str]:
    served = {str(each.get("name")): set(_fingerprints(each)) for each in identities}
    # two hosts with the same pair of files are one identity, by the name of the first
    all_served = [each for each in served.values() if each]
    for each in disk:
        if each.problem:
            continue
        own = served.get(each.name)
        if own is None and set(each.fingerprints) not in all_served:
            yield f"{each.name}: on disk, but not served"
        elif own is not None and own != set(each.fingerprints):
            yield (
                f"{each.name}: on disk differs from what is served: {_short(each.fingerprints)} on "
                f"disk, {_short(sorted(own))} served"
            )


def _identity_lines(identity: Document, now: float) -> Iterator[str]:
    names = ", ".join(map(str, identity.get("names") or ()))
    since = identity.get("active_since")
    yield f"{identity.get('name')}: {names}" + (f" (since {since})" if since else "")
    if identity.get("is_withheld"):
        yield "  withheld: not served now"
    for each in _list(identity, "credentials"):
        begins, ends = str(each.get("not_before"))[:10], str(each.get("not_after"))[:10]
        yield (
            f"  {each.get('kind')} {_short([str(each.get('sha256'))])}, {begins} to {ends}"
            f"{_left(each.get('not_after'), now)}, by {each.get('issuer')}"
        )
        yield f"    staple: {_staple(_table(each, 'ocsp'), now)}"
    load, previous = _table(identity, "last_load"), _table(identity, "previous")
    if load:
        detail = f": {load['detail']}" if load.get("detail") else ""
        yield f"  last load: {load.get('result')} at {load.get('at')}{detail}"
    if previous:
        prints = [str(each) for each in previous.get("sha256") or ()]
        yield f"  previous: {_short(prints)}, to go back to until {previous.get('until')}"


def _staple(ocsp: Document, now: float) -> str:
    if not ocsp.get("responder"):
        return "none, the certificate names no responder"
    staple, result = _table(ocsp, "staple"), ocsp.get("last_result")
    parts = [
        f"there{_left(staple.get('next_update'), now)}, of {staple.get('this_update')}"
        if staple
        else "none",
        f"last result {result} at {ocsp.get('last_attempt')}" if result else "not asked yet",
    ]
    if ocsp.get("next_attempt"):
        parts.append(f"next at {ocsp['next_attempt']}")
    return "; ".join(parts)


def _disk_lines(each: OnDisk, now: float) -> Iterator[str]:
    if each.problem or each.not_after is None:
        yield f"{each.name}: on disk: bad"
        return
    left = _left(each.not_after.isoformat(), now)
    yield f"{each.name}: {', '.join(each.names)}"
    yield f"  on disk: {_short(each.fingerprints)}, until {each.not_after:%Y-%m-%d}{left}"


def _left(moment: object, now: float) -> str:
    ends = _moment(moment)
    return "" if ends is None else f" ({span(ends - now)} left)"


def _moment(value: object) -> float | None:
    """Return seconds since the epoch of an ISO 8601 time with zone."""
    try:
        parsed = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if parsed is None or parsed.tzinfo is None else parsed.timestamp()


def _fingerprints(identity: Document) -> list[str]:
    return [str(each.get("sha256")) for each in _list(identity, "credentials")]


def _short(fingerprints: Sequence[str]) -> str:
    return ", ".join(each[:SHORT] for each in fingerprints) or "nothing"


def _table(of: Document, key: str) -> Document:
    value = of.get(key)
    return value if isinstance(value, dict) else {}


def _list(of: Document, key: str) -> list[Document]:
    value = of.get(key)
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []
