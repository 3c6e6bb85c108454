"""What may be chosen about a demo."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """Ports (0 takes a free one, None is none), a folder for files, and how slow the origin is.

    40 ms is what an origin two countries away needs: enough to see a hit from a miss by eye.
    """

    https_port: int = 8443
    http_port: int = 8080
    origin_port: int = 8444
    metrics_port: int | None = None
    folder: Path = Path("var/demo")
    origin_latency_seconds: float = 0.04
