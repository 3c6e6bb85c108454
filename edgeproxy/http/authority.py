"""Host and :authority as a value (RFC 9110 section 7.2, RFC 3986 section 3.2)."""


def split_authority(value: bytes) -> tuple[str, int | None] | None:
    """Return host and port, or None if the authority is not acceptable.

    The host is lower-case and without its trailing dot; an IPv6 literal comes compressed and
    without brackets. The port is None where none is written.
    """
    raise NotImplementedError
