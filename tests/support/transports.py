"""Going away at once, over transports of every Python that is supported."""

import asyncio
import contextlib


def drop(writer: asyncio.StreamWriter) -> None:
    """Abort a connection, whatever state it is in."""
    # the first releases of Python 3.11 forget the protocol of a TLS transport that is closed
    # twice, once by each end say, and stumble over that when it is aborted
    with contextlib.suppress(AttributeError):
        writer.transport.abort()
