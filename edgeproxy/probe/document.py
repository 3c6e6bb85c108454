"""A report as JSON-ready values: complete, for machines (`certs verify --json`)."""

from collections import Counter
from typing import Any

from edgeproxy.probe.certificates import as_json, fingerprint
from edgeproxy.probe.inspection import Credential, Inspection
from edgeproxy.probe.verification import Report


def document(report: Report) -> dict[str, Any]:
    """Return everything that was seen and found."""
    return {
        "ok": report.is_fine,
        "targets": [_inspection(one, report.now) for one in report.inspections],
        "certificates": _certificates(report),
        "findings": [
            {
                "address": each.where,
                "name": each.name or None,
                "key_type": each.key_type or None,
                "message": each.message,
            }
            for each in report.findings
        ],
    }


def _inspection(one: Inspection, now: float) -> dict[str, Any]:
    return {
        "address": str(one.target.address),
        "given": str(one.target.given),
        "name": one.target.sni,
        "old_versions": {version: str(outcome) for version, outcome in one.old_versions},
        "resumes": one.resumes,
        "credentials": [_credential(each, now) for each in one.credentials],
    }


def _credential(each: Credential, now: float) -> dict[str, Any]:
    seen = each.seen
    said: dict[str, Any] = {
        "key_type": each.key_type,
        "outcome": "absent" if each.is_absent else str(seen.stage),
        "failure": seen.failure or None,
        "duration_seconds": round(seen.duration_seconds, 4),
    }
    if not each.is_there:
        return said
    return said | {
        "version": seen.version,
        "cipher": seen.cipher,
        "group": seen.group,
        "sha256": fingerprint(seen.chain[0]),
        "chain": [as_json(certificate, now) for certificate in seen.chain],
        "has_sent_issuer": each.has_sent_issuer,
        "distrust": [{"depth": why.depth, "reason": why.text} for why in seen.distrust],
        "staple": _staple(each, now),
    }


def _staple(each: Credential, now: float) -> dict[str, Any]:
    staple = each.staple
    ends = staple.next_update
    return {
        "state": staple.word,
        "this_update": staple.this_update.isoformat() if staple.this_update else None,
        "next_update": ends.isoformat() if ends else None,
        "seconds_left": round(ends.timestamp() - now) if ends else None,
    }


def _certificates(report: Report) -> list[dict[str, Any]]:
    """Return how many targets show which certificate."""
    counts = Counter(
        fingerprint(each.seen.chain[0])
        for one in report.inspections
        for each in one.credentials
        if each.is_there
    )
    return [{"sha256": sha256, "count": count} for sha256, count in counts.most_common()]
