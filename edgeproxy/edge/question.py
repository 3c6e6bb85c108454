"""What the cache wants to know of the next hop, and what it knows already.

A value that travels from the decision to the fill. Asks nothing itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from edgeproxy.cache.stored import StoredResponse
from edgeproxy.cache.vary import Vary, is_unnamed_match, selecting_values
from edgeproxy.edge.lookup import Route
from edgeproxy.http.messages import Request


@dataclass(frozen=True, slots=True, eq=False)
class Question:
    """One request of the cache's own.

    `asked` is what `fetch.question` made; `reason` why it is asked, in the words of RFC 9211;
    `candidates` everything stored under the route's key and `selected` the one of them that the
    request selects, None without one.
    """

    route: Route
    asked: Request
    reason: str
    candidates: Sequence[StoredResponse] = ()
    selected: StoredResponse | None = None

    @property
    def confirmable(self) -> Sequence[StoredResponse]:
        """The candidates that a 304 may be asked to confirm (RFC 9111 section 4.3.1)."""
        asked = self.asked.fields
        return [each for each in self.candidates if is_unnamed_match(each, asked)]

    def selects(self, vary: Vary) -> bool:
        """Tell whether this question has the selecting values `vary` (RFC 9111 section 4.1)."""
        return not vary or selecting_values(tuple(name for name, _ in vary), self.asked.fields) == (
            vary
        )
