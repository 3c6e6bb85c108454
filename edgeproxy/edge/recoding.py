"""Content that is still arriving, in other codings than its own.

One pump per coding reads the growing body, codes it piece by piece in a thread and grows a body of
its own, which every client of that coding reads: nobody waits for the end of the content. What the
pumps made is kept with the response once both are whole. Must not know clients or flights.

Invariants: a coding of one arrival is made once; a body that breaks off, or cannot be decoded,
breaks off every body made of it.
"""

from dataclasses import dataclass
from functools import partial

from edgeproxy.cache.codings import Offer
from edgeproxy.cache.stored import DerivedBody, StoredResponse
from edgeproxy.coding.recode import Recoder
from edgeproxy.edge.coder import Coder, check_acceptable
from edgeproxy.edge.deliver import Coded, represent
from edgeproxy.edge.growing import GrowingBody, Hold, Reader, Room
from edgeproxy.edge.lookup import Route
from edgeproxy.edge.representation import Representation
from edgeproxy.errors import CodingError, UpstreamError
from edgeproxy.http.codings import IDENTITY, negotiate
from edgeproxy.http.messages import Fields

# Smaller pieces are coded where they are: a thread costs more than they do.
_PIECE_BYTES_MIN = 2048


@dataclass(frozen=True, slots=True, eq=False)
class Recoded:
    """Arriving content in one coding."""

    representation: Representation
    body: GrowingBody


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What is known of a response when its content begins."""

    route: Route
    status: int
    fields: Fields
    generated: Fields
    offer: Offer
    keep_bytes_max: int
    window_bytes: int
    room: Room


class Recodings:
    """The codings of one arriving response.

    `stored` is what became of it once it is whole: from then on `Coder.view` is to be asked.
    """

    def __init__(self, coder: Coder, arrival: Arrival) -> None:
        self._coder = coder
        self._arrival = arrival
        self._recoded: dict[bytes, Recoded] = {}
        self._pumping: set[bytes] = set()
        self._is_stopped = False
        self.stored: StoredResponse | None = None

    @property
    def own(self) -> bytes:
        """The coding that the content arrives in."""
        return self._arrival.offer.own

    def choose(self, accepted: bytes | None) -> bytes | None:
        """Return the coding for an Accept-Encoding value; None: only another response would do.

        Raises:
            DownstreamError: 406, every coding that there can be is refused.
        """
        offer = self._arrival.offer
        coding = offer.choose(accepted)
        if coding is None:
            check_acceptable(offer)
            return None
        is_there = coding in {self.own, *self._recoded}
        if coding == self.own or (not self._is_stopped and (is_there or not self._coder.is_busy)):
            return coding
        return negotiate(accepted or b"", [self.own])

    def stop(self) -> None:
        """The content turned out too large to be coded: who comes now gets it as it came."""
        self._is_stopped = True

    def read(self, coding: bytes, source: Reader) -> tuple[Recoded, Reader] | None:
        """Return the content in that coding, and a reader of it, in place of `source`.

        Returns None where it began too long ago to be read from its beginning.
        """
        known = self._recoded.get(coding)
        if known is None:
            known = self._begin(coding, source)
        else:
            source.close()
            if not known.body.is_keeping:
                return None
        return known, known.body.read()

    def settle(self, stored: StoredResponse) -> None:
        """Let what the pumps make be kept with what was stored."""
        self.stored = stored
        for coding in self._pumping:
            self._coder.begin(stored, coding)

    def _begin(self, coding: bytes, source: Reader) -> Recoded:
        arrival = self._arrival
        body = GrowingBody(
            keep_bytes_max=arrival.keep_bytes_max,
            window_bytes=arrival.window_bytes,
            on_abandoned=source.close,
        )
        representation = represent(
            arrival.route,
            arrival.status,
            arrival.fields,
            length=None,
            may_be_shared=True,
            generated=arrival.generated,
            coded=Coded(arrival.offer, coding, is_final=coding == IDENTITY),
        )
        recoded = self._recoded[coding] = Recoded(representation, body)
        self._coder.count(self.own, coding, "fast")
        self._pumping.add(coding)
        self._coder.own(self._pump(coding, source, body))
        return recoded

    async def _pump(self, coding: bytes, source: Reader, body: GrowingBody) -> None:
        bytes_max = self._arrival.route.rule.cache.body_bytes_max
        recoder = Recoder(self.own, coding, level="fast", bytes_max=bytes_max)
        hold = Hold(self._arrival.room)
        made = None
        try:
            await self._copy(recoder, source, body, hold)
            if body.is_complete and body.is_keeping:
                content = body.content()
                made = DerivedBody(content, is_final=coding == IDENTITY)
        except CodingError as error:
            self._coder.failed(self._arrival.route.key, error)
            body.fail(UpstreamError("http_response_content_coding", 502, str(error)))
        except UpstreamError as error:
            body.fail(error)
        except BaseException:
            body.fail(UpstreamError("proxy_internal_error", 500, "the coding ended early"))
            raise
        finally:
            source.close()
            hold.release()
            self._pumping.discard(coding)
            if self.stored is not None:
                self._coder.settle(self.stored, coding, made, bytes_max=bytes_max)

    async def _copy(self, recoder: Recoder, source: Reader, body: GrowingBody, hold: Hold) -> None:
        """Code everything, or as much as somebody wants."""
        async for chunk in source:
            if len(chunk) < _PIECE_BYTES_MIN:
                piece = recoder.feed(chunk)
            else:
                piece = await self._coder.in_thread(partial(recoder.feed, chunk))
            if source.has_all_that_came:
                # The next octets may take their time: let the client have what came before.
                piece += recoder.flush()
            if body.is_keeping and not hold.take(len(piece)):
                body.stop_keeping()
            if not await body.append(piece):
                return
        await body.append(await self._coder.in_thread(recoder.finish))
        body.finish()
