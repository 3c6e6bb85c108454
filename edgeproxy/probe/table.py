"""A report for people: one line per address, name and key type, then what is wrong."""

from collections.abc import Iterator
from datetime import datetime

from edgeproxy.probe.certificates import days_left, fingerprint
from edgeproxy.probe.findings import SHORT, short_version
from edgeproxy.probe.inspection import Credential, Inspection, Old
from edgeproxy.probe.verification import Report

_HEAD = ("ADDRESS", "NAME", "KEY", "TLS", "GROUP", "SHA-256", "EXPIRES", "STAPLE", "RESUMES")


def lines(report: Report) -> Iterator[str]:
    """Yield the lines of the report, the verdict last."""
    rows = [
        row
        for one in report.inspections
        for each in one.credentials
        if not each.is_absent
        for row in [_row(one, each, report.now)]
    ]
    yield from aligned([_HEAD, *rows])
    yield ""
    for one in report.inspections:
        for version, outcome in one.old_versions:
            if outcome in (Old.UNTESTABLE, Old.UNKNOWN):
                yield f"note: {one.target.where}: TLS {short_version(version)}: {outcome}"
    for finding in report.findings:
        yield f"finding: {finding}"
    count = len({one.target.where for one in report.inspections})
    places = "1 address" if count == 1 else f"{count} addresses"
    yield (
        f"ok: {places}, all valid and the same"
        if report.is_fine
        else f"failed: {_counted(len(report.findings), 'finding')} at {places}"
    )


def aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Yield rows as lines whose columns stand below each other; a shorter row is one of words."""
    columns = len(rows[0])
    full = [row for row in rows if len(row) == columns]
    # the last cell of a short row is a sentence, which no column has to hold
    cells_of = [*full, *(row[:-1] for row in rows if len(row) != columns)]
    widths = [max(len(row[at]) for row in cells_of if at < len(row)) for at in range(columns)]
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=False)]
        yield "  ".join([*cells[: len(row) - 1], row[-1]]).rstrip()


def span(seconds: float) -> str:
    """Return a time to go, roughly: days, or hours below two days."""
    if abs(seconds) < 2 * 86400:
        return f"{seconds / 3600:.0f} h"
    return f"{seconds / 86400:.0f} d"


def _row(one: Inspection, each: Credential, now: float) -> tuple[str, ...]:
    target, seen = one.target, each.seen
    head = (target.where, target.sni or "-", each.key_type)
    if not each.is_there:
        return (*head, f"failed: {seen.failure}")
    leaf = seen.chain[0]
    expires = f"{leaf.not_valid_after_utc:%Y-%m-%d} ({span(days_left(leaf, now) * 86400)})"
    resumes = {True: "yes", False: "no", None: "-"}[one.resumes]
    return (
        *head,
        _versions(one, each),
        seen.group or "-",
        fingerprint(leaf)[:SHORT],
        expires,
        _staple(each.staple.word, each.staple.next_update, now),
        resumes,
    )


def _versions(one: Inspection, each: Credential) -> str:
    accepted = [version for version, outcome in one.old_versions if outcome is Old.ACCEPTED]
    return ", ".join(map(short_version, dict.fromkeys([each.seen.version, *accepted])))


def _staple(word: str, ends: datetime | None, now: float) -> str:
    return f"{word} ({span(ends.timestamp() - now)})" if ends else word


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
