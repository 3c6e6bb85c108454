"""What a person may choose about the demo: the seam between the command line and `demo`.

A value only; nothing is started here.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """Where the demo listens and leaves its files; everything on loopback.

    Port 0 takes a free one. `folder` holds the local CA and certificates, so that a CA once trusted
    in a browser stays the same. `stops_after_seconds` ends the demo by itself, for tests; None: at
    Ctrl-C.
    """

    https_port: int = 8443
    http_port: int = 8080
    origin_port: int = 8444
    folder: Path = Path("var/demo")
    stops_after_seconds: float | None = None
