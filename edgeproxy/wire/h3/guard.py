"""What one connection may cost us: the budgets of HTTP/2, with HTTP/3's code (RFC 9114, 10.5)."""

from edgeproxy.wire.budgets import Budgets
from edgeproxy.wire.h3 import codes
from edgeproxy.wire.limits import Limits


class Guard(Budgets):
    """Counts what a peer makes us do; too much of it is H3_EXCESSIVE_LOAD."""

    __slots__ = ()

    def __init__(self, limits: Limits) -> None:
        super().__init__(limits, codes.EXCESSIVE_LOAD)
