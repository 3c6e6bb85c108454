"""What comes of one exchange beside the final head and the content.

The connection writes here, the exchange reads: the connection may have gone on to the next exchange
before anybody looks, so it keeps nothing of its own. Decides nothing and does no I/O.
"""

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import Fields, Interim


class Asides:
    """`interim` hears interim responses; `fault` is why we ended the connection.

    `trailers` are those that may be passed on, there once the content has ended.
    """

    __slots__ = ("fault", "interim", "trailers")

    def __init__(self, interim: Interim | None = None) -> None:
        self.interim = interim
        self.fault: UpstreamError | None = None
        self.trailers: Fields = ()
