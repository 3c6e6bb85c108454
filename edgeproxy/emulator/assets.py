"""The demo widget's files, as an origin has them: bodies and the fields that come with each.

Reads files once, at start; serves nothing. Origins in the field are uneven, and so is this one on
purpose: some files come with both validators, some with one, some with none, so that one can watch
the edge keep what is given and make up what is missing (RFC 9110 section 8.8).
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from edgeproxy.http.dates import format_date

FOLDER = Path(__file__).parent / "widget"
# When the widget was released: a fixed moment, because the time of a checkout means nothing.
RELEASED = 1_780_300_800

MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    ".wav": "audio/wav",
}

# (path below the folder, ETag, Last-Modified, the origin's own Cache-Control or "")
FILES = (
    ("index.html", True, True, "max-age=60"),
    ("manifest.json", True, False, "max-age=5"),
    ("bootstrap.js", False, True, "max-age=60"),
    ("page/host.css", True, True, "max-age=60"),
    ("page/host.js", True, True, "max-age=60"),
    ("widget-v2.1.0.js", False, False, ""),
    ("v2.1.0/widget.css", False, True, ""),
    ("v2.1.0/chat.svg", False, False, ""),
    ("v2.1.0/chime.wav", True, True, "max-age=3600"),
)

# Everything the page loads comes from its own host: nothing inline, nothing from elsewhere.
CONTENT_SECURITY_POLICY = (
    "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file behind one path; `etag` and `last_modified` are None where it has none."""

    path: str
    body: bytes
    media_type: str
    cache_control: str
    etag: str | None
    last_modified: str | None

    def fields(self) -> dict[str, str]:
        """Return the response fields that describe this file, without its length."""
        fields = {"Content-Type": self.media_type, "X-Powered-By": "demo-origin"}
        if self.cache_control:
            fields["Cache-Control"] = self.cache_control
        if self.etag is not None:
            fields["ETag"] = self.etag
        if self.last_modified is not None:
            fields["Last-Modified"] = self.last_modified
        if self.media_type.startswith("text/html"):
            fields["Content-Security-Policy"] = CONTENT_SECURITY_POLICY
        return fields


def load_assets(folder: Path = FOLDER) -> dict[str, Asset]:
    """Read the widget; `/` is another name of `/index.html`."""
    assets = {f"/{file[0]}": _load(folder, *file) for file in FILES}
    assets["/"] = assets["/index.html"]
    return assets


def _load(
    folder: Path, name: str, has_etag: bool, has_last_modified: bool, cache_control: str
) -> Asset:
    body = (folder / name).read_bytes()
    return Asset(
        path=f"/{name}",
        body=body,
        media_type=MEDIA_TYPES[Path(name).suffix],
        cache_control=cache_control,
        etag=f'"{hashlib.sha256(body).hexdigest()[:20]}"' if has_etag else None,
        last_modified=format_date(RELEASED).decode("ascii") if has_last_modified else None,
    )
