"""Content codings (RFC 9110 section 8.4.1): encoders, and decoders that know when to stop."""

from edgeproxy.errors import CodingError

__all__ = ["CodingError"]
