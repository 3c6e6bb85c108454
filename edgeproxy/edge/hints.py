"""Who hears the interim responses of a fill: the one who leads it, and those who wait with him.

A 103 comes before anybody knows whether the answer may be shared (RFC 8297 section 2, RFC 9110
section 15.2), so a follower hears it only where its own request would have got the same one.
Nothing of it is stored, nothing of it reaches the final response. Must not know protocols: whether
and how an interim response is sent is for the listeners to say.

Invariants: who has been told the answer hears nothing any more; Set-Cookie is for nobody, since
what one of many would keep must not come from what was asked for all.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from edgeproxy.cache.vary import implied
from edgeproxy.edge.question import Question
from edgeproxy.http.messages import FieldSection, Interim

_CREDENTIALS = frozenset({b"authorization", b"cookie"})


class Hints:
    """The hearers of one flight; `question` is the leader's, None for one in the background."""

    __slots__ = ("_hearers", "question")

    def __init__(self) -> None:
        self._hearers: list[Interim] = []
        self.question: Question | None = None

    def tell(self, status: int, section: FieldSection) -> None:
        """Pass an interim response on to all who wait now; an `Interim`."""
        if not self._hearers:
            return
        if any(name == b"set-cookie" for name, _ in section.fields):
            section = FieldSection(line for line in section.fields if line[0] != b"set-cookie")
        for hearer in tuple(self._hearers):
            hearer(status, section)

    @contextmanager
    def heard_by(self, hearer: Interim | None) -> Iterator[None]:
        """Let somebody hear, if he can, as long as he waits."""
        if hearer is None:
            yield
            return
        self._hearers.append(hearer)
        try:
            yield
        finally:
            self._hearers.remove(hearer)

    def are_for(self, question: Question) -> bool:
        """Tell whether a follower would have been told the same.

        Questions of a caching rule hold nothing personal, unless somebody on the way said something
        that nobody may take out (CDN-Loop). Without a rule they are the client's own words: then
        they must be the same ones, and no credentials among them.
        """
        if self.question is None:
            return False
        fields = question.asked.fields
        if question.route.is_managed:
            return not implied((*fields, *self.question.asked.fields), ())
        return fields == self.question.asked.fields and not any(
            name in _CREDENTIALS for name, _ in fields
        )
