"""URLs as operators write them: https only, taken apart into what a request needs.

Connects to nothing. RFC 9110 section 4.2.2, RFC 3986 section 3.
"""

from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from edgeproxy.probe.addresses import HTTPS_PORT, Address, parse_address

# What may stand in a path or query as it is: the rest is written in percent.
_AS_IT_IS: Final = "!$%&'()*+,-./:;=?@_~"


@dataclass(frozen=True, slots=True)
class Url:
    """Where to ask (`address`: host and port), and for what (`target`, in origin form)."""

    address: Address
    target: str

    @property
    def authority(self) -> str:
        """Return host and port as a request names them, without the port that is understood."""
        if self.address.port != HTTPS_PORT:
            return str(self.address)
        return f"[{self.address.host}]" if ":" in self.address.host else self.address.host

    @property
    def sni(self) -> str | None:
        """Return the server name to ask for; an IP address is none (RFC 6066 section 3)."""
        return None if self.address.is_literal else self.address.host

    def __str__(self) -> str:
        return f"https://{self.authority}{self.target}"


def parse_url(text: str) -> Url:
    """Read `https://host[:port][/path][?query]`; without a scheme https is meant.

    Raises:
        ValueError: with a sentence for the operator.
    """
    parts = urlsplit(text if "://" in text else f"https://{text}")
    if parts.scheme != "https":
        raise ValueError(f"{text!r}: only https is spoken, not {parts.scheme}")
    if "@" in parts.netloc:
        raise ValueError(f"{text!r}: user and password belong into a field, not into a URL")
    if not parts.netloc:
        raise ValueError(f"{text!r} names no host")
    path = quote(parts.path or "/", safe=_AS_IT_IS)
    query = f"?{quote(parts.query, safe=_AS_IT_IS)}" if parts.query else ""
    return Url(parse_address(parts.netloc), path + query)
