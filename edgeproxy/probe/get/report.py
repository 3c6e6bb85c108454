"""What one request showed, as text for people and as a document for scripts. Pure."""

from collections.abc import Iterator

from edgeproxy.probe.certificates import as_json
from edgeproxy.probe.get.answer import Answer, Line
from edgeproxy.probe.get.asking import Report
from edgeproxy.probe.handshake import Observation
from edgeproxy.probe.staples import StapleState, issuer_of, judge

_NAMES = {"http/1.1": "HTTP/1.1", "h2": "HTTP/2", "h3": "HTTP/3"}


def document(report: Report, now: float) -> dict[str, object]:
    """Return everything; times in milliseconds, None for what never was."""
    answer, seen = report.answer, report.handshake
    return {
        "url": str(report.asked.url),
        "method": report.asked.method,
        "address": None if report.address is None else str(report.address),
        "protocol": report.protocol,
        "status": answer.status or None,
        "fields": [list(line) for line in answer.fields],
        "interim": [
            {"status": status, "fields": [list(line) for line in fields]}
            for status, fields in answer.interim
        ],
        "trailers": [list(line) for line in answer.trailers],
        "content": {
            "octets": answer.octets,
            "sha256": answer.sha256,
            "is_whole": answer.is_whole,
        },
        "milliseconds": {
            "connect": _milliseconds(report.connect_seconds),
            "handshake": _milliseconds(seen.duration_seconds if seen is not None else None),
            "first_octet": _milliseconds(report.first_seconds),
            "content": _milliseconds(report.content_seconds),
        },
        "tls": None if seen is None else _tls(seen, now, resumes=report.resumes),
        "failure": report.failure or None,
    }


def lines(report: Report, now: float) -> Iterator[str]:
    """Yield the report for people; ends with what went wrong, if anything did."""
    seen, address = report.handshake, report.address
    if address is not None and seen is not None:
        yield f"* {address}, {seen.version} {seen.cipher}{f' {seen.group}' if seen.group else ''}"
        yield from _certificate_lines(seen, now)
        if report.resumes is not None:
            yield f"* resumption: {'yes' if report.resumes else 'no'}"
    yield from _answer_lines(report)
    times = document(report, now)["milliseconds"]
    if isinstance(times, dict) and any(each is not None for each in times.values()):
        told = [f"{name.replace('_', ' ')} {ms:g} ms" for name, ms in times.items() if ms]
        yield f"* {', '.join(told)}"
    if seen is not None:
        for each in seen.distrust:
            yield f"! not trusted: {each.text}"
    if report.failure:
        yield f"! {report.failure}"


def _answer_lines(report: Report) -> Iterator[str]:
    answer, name = report.answer, _NAMES.get(report.protocol or "", "")
    for status, fields in answer.interim:
        yield from _head_lines(name, status, fields)
    if not answer.status:
        return
    yield from _head_lines(name, answer.status, answer.fields)
    yield f"* {_content(answer)}"
    for field, value in answer.trailers:
        yield f"< {field}: {value} (trailer)"


def _head_lines(name: str, status: int, fields: tuple[Line, ...]) -> Iterator[str]:
    yield f"< {name} {status}"
    for field, value in fields:
        yield f"< {field}: {value}"


def _content(answer: Answer) -> str:
    end = "" if answer.is_whole else ", cut"
    return f"content: {answer.octets} octets{end}, SHA-256 {answer.sha256}"


def _certificate_lines(seen: Observation, now: float) -> Iterator[str]:
    if not seen.chain:
        return
    leaf = as_json(seen.chain[0], now)
    names = leaf["names"]
    shown = ", ".join(map(str, names)) if isinstance(names, list) else ""
    yield f"* certificate: {leaf['key_type']} for {shown}, until {str(leaf['not_after'])[:10]}"
    staple = _staple(seen, now)
    ends = f", until {staple.next_update:%Y-%m-%d %H:%M}" if staple.next_update else ""
    yield f"* staple: {staple.word}{ends}"


def _tls(seen: Observation, now: float, *, resumes: bool | None) -> dict[str, object]:
    staple = _staple(seen, now)
    return {
        "version": seen.version,
        "cipher": seen.cipher,
        "group": seen.group or None,
        "certificate": as_json(seen.chain[0], now) if seen.chain else None,
        "chain_length": len(seen.chain),
        "staple": {
            "state": staple.word,
            "this_update": staple.this_update.isoformat() if staple.this_update else None,
            "next_update": staple.next_update.isoformat() if staple.next_update else None,
        },
        "resumes": resumes,
        "distrust": [each.text for each in seen.distrust],
    }


def _staple(seen: Observation, now: float) -> StapleState:
    if not seen.chain:
        return StapleState("none")
    leaf = seen.chain[0]
    return judge(seen.staple, leaf, issuer_of(leaf, (*seen.chain[1:], *seen.verified[1:])), now)


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
