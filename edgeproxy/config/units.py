"""Durations and sizes as an operator writes them: a number and its unit, never a bare number.

Pure. A duration is seconds, a size is bytes; text that is not exactly one number and one known
unit is refused, because `30` means seconds to one reader and milliseconds to another.
"""

import re

# Ten digits of a second are three centuries: enough for anybody, too few to overflow anything.
_NUMBER = r"([0-9]{1,10})(?:\.([0-9]{1,6}))?"
_SECONDS = {
    "ms": 0.001,
    "s": 1,
    "m": 60,
    "h": 3600,
    "d": 86400,
    "w": 7 * 86400,
    "y": 365 * 86400,  # what `max-age=31536000` calls a year
}
_BYTES = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
}
_DURATION = re.compile(rf"{_NUMBER}({'|'.join(_SECONDS)})", re.ASCII)
_SIZE = re.compile(rf"{_NUMBER}({'|'.join(_BYTES)})", re.ASCII)


def parse_duration(text: str) -> float:
    """Return seconds; `1.5s`, `30s`, `500ms`, `5m`, `24h`, `7d`, `2w`, `1y`.

    Raises:
        ValueError: with a sentence for the operator.
    """
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(
            f'expected a duration like "30s", "500ms", "5m", "24h" or "1y", not {text!r}'
        )
    return float(f"{match[1]}.{match[2] or 0}") * _SECONDS[match[3]]


def parse_size(text: str) -> int:
    """Return bytes; `512MiB`, `16KiB`, `1GB`, `100B`.

    Raises:
        ValueError: with a sentence for the operator.
    """
    match = _SIZE.fullmatch(text)
    if match is None:
        raise ValueError(f'expected a size like "512MiB", "16KiB", "1GB" or "100B", not {text!r}')
    return int(float(f"{match[1]}.{match[2] or 0}") * _BYTES[match[3]])


def format_duration(seconds: float) -> str:
    """Write seconds in the largest unit that divides them."""
    for unit in ("y", "d", "h", "m", "s"):
        if seconds >= _SECONDS[unit] and seconds % _SECONDS[unit] == 0:
            return f"{int(seconds // _SECONDS[unit])}{unit}"
    return f"{seconds * 1000:g}ms" if seconds else "0s"


def format_size(size: int) -> str:
    """Write bytes in the largest binary unit that divides them."""
    for unit in ("GiB", "MiB", "KiB"):
        if size >= _BYTES[unit] and size % _BYTES[unit] == 0:
            return f"{size // _BYTES[unit]}{unit}"
    return f"{size}B"
