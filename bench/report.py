"""Render the JSON of a comparison as a Markdown table.

python -m bench.report FILE...
"""

import json
import sys
from pathlib import Path
from typing import Any


def size_name(size: int) -> str:
    """Return `20 KB` for 20480; the units of the issue tracker's bars, 1 KB = 1024 bytes."""
    if size >= 1 << 20:
        return f"{size / (1 << 20):g} MB"
    return f"{size / 1024:g} KB"


def table(document: dict[str, Any]) -> str:
    """Return one comparison as Markdown."""
    versions, load = document["versions"], document["load"]
    ours, theirs = list(versions)
    rounds = len(document["sizes"][0]["ours"]["samples"])
    machine = document["machine"]
    where = (
        f"Commit {document['commit']}, {document['time']}, {machine['cpu']}, "
        f"Python {machine['python']}."
    )
    how = (
        "Server CPU µs per HTTP/2 request, one worker on one core, h2load on another, "
        f"-c {load['clients']} -m {load['streams']}, TLS 1.3 {load['suite']}, "
        f"{len(load['fields'])} extra request fields, medians of {rounds} interleaved rounds."
    )
    lines = [
        where,
        how,
        "",
        f"| body | {ours} {versions[ours]} | {theirs} {versions[theirs]} | ratio | bar | kept |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {size_name(row['size'])} | {row['ours']['microseconds']:.1f} "
        f"| {row['theirs']['microseconds']:.1f} | {row['ratio']:.2f} | {row['bar']:g} "
        f"| {'yes' if row['kept'] else 'NO'} |"
        for row in document["sizes"]
    ]
    return "\n".join(lines) + "\n"


def main(paths: list[str]) -> None:
    """Print a table per file."""
    for path in paths:
        print(table(json.loads(Path(path).read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main(sys.argv[1:])
