"""Which purge a fill has to have seen ("purge beats fill", design/cache.md).

A fill reads the generation before it asks the next hop; if a matching purge came in between, what
it brings is not stored. Must not forget: numbers only grow. Today there is one number for all keys
and nothing raises it but `advance`; purges by URL, tag and prefix will.
"""


class Generations:
    """The purge generation of every key."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest = 0

    def current(self, _key: bytes) -> int:
        """Return the generation that a response under this key must have been asked for in."""
        return self._latest

    def advance(self) -> int:
        """Purge everything that was asked for until now."""
        self._latest += 1
        return self._latest
