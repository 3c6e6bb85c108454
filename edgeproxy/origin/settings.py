"""What the operator decides about one origin.

Frozen and complete: defaults that depend on the URL are filled in on construction, so nothing that
reads a value asks twice. Knows nothing of files of configuration and reads no certificate; the
address that is dialled comes from here alone, never from a request (RFC 9110 section 7.4).
"""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::([0-9]{1,5}))?")


@dataclass(frozen=True, slots=True)
class OriginSettings:
    """One origin: where it is, who it must prove to be, and how long we wait for it.

    `url` is scheme and authority, `https://assets.internal:8443`; a path other than `/` is
    refused, because targets are forwarded unmodified. `host` is the canonical Host of every
    request (default: the URL's authority) and `sni` the name its certificate must cover (default:
    `host` without a port). `ca_file` replaces the system's certificate authorities. Raises
    ValueError with a sentence for the operator.

    The limits are ours: nginx waits 60 s for each phase, Varnish 3.5 s to connect and 60 s for the
    first byte; an edge with stale copies at hand should give up earlier.
    """

    name: str
    url: str
    host: str = ""
    sni: str = ""
    ca_file: Path | None = None
    connect_timeout_seconds: float = 2.0
    first_byte_timeout_seconds: float = 15.0
    between_bytes_timeout_seconds: float = 15.0
    total_timeout_seconds: float = 300.0
    connections_max: int = 64
    retries: int = 1
    dns_ttl_seconds: float = 30.0
    keepalive_seconds: float = 30.0
    response_fields_max: int = 128
    response_field_bytes_max: int = 16 * 1024
    response_section_bytes_max: int = 64 * 1024

    def __post_init__(self) -> None:
        address, port = _split_url(self.url)
        host = self.host or (address if port is None else f"{address}:{port}")
        if not _AUTHORITY.fullmatch(host):
            raise ValueError(f"host is not a name with an optional port: {host!r}")
        object.__setattr__(self, "host", host.lower())
        sni = self.sni or _AUTHORITY.sub(r"\1", self.host)
        object.__setattr__(self, "sni", sni.strip("[]").rstrip(".").lower())
        self._check_numbers()

    def _check_numbers(self) -> None:
        for name in _POSITIVE:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be positive")
        for name in ("retries", "dns_ttl_seconds", "keepalive_seconds"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")

    @property
    def is_tls(self) -> bool:
        """Whether the origin is reached over TLS."""
        return self.url[:6].lower() == "https:"

    @property
    def address(self) -> str:
        """The host name or IP address to dial, without brackets."""
        return _split_url(self.url)[0].strip("[]")

    @property
    def port(self) -> int:
        """The port to dial."""
        return _split_url(self.url)[1] or (443 if self.is_tls else 80)


_POSITIVE = (
    "connect_timeout_seconds",
    "first_byte_timeout_seconds",
    "between_bytes_timeout_seconds",
    "total_timeout_seconds",
    "connections_max",
    "response_fields_max",
    "response_field_bytes_max",
    "response_section_bytes_max",
)


def _split_url(url: str) -> tuple[str, int | None]:
    """Return the lower-case authority's host (IPv6 in brackets) and port, None for the default."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"}:
        raise ValueError(f"url must start with https:// or http://, not {url!r}")
    if parts.path not in {"", "/"} or parts.query or parts.fragment or "?" in url or "#" in url:
        raise ValueError(f"url must end after the port: targets are forwarded as they are: {url!r}")
    match = _AUTHORITY.fullmatch(parts.netloc)
    if match is None:
        raise ValueError(f"url must name a host and an optional port: {url!r}")
    host, port = match[1].lower(), match[2]
    if host.startswith("["):
        ip_address(host[1:-1])
    if port is not None and not 1 <= int(port) <= 65535:
        raise ValueError(f"port {port} is not between 1 and 65535")
    return host, None if port is None else int(port)
