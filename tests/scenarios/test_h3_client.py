"""A whole HTTP/3 session over QUIC and aioquic's client, in memory: what a client sees."""

from collections.abc import Callable
from pathlib import Path

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.http.messages import FieldSection, Request, Response
from edgeproxy.listeners.http3 import Http3Session
from edgeproxy.wire.h3 import codes, frames
from edgeproxy.wire.limits import Limits
from tests.support.barrier import settle
from tests.support.clock import ManualClock
from tests.support.h3_quic import H3Pair
from tests.support.http1_session import FakeApplication, Stream, read_all, response


class Served:
    """The pair, its application and its clock."""

    def __init__(self, directory: Path, limits: Limits | None = None, **client: int) -> None:
        self.application = FakeApplication()
        self.clock = ManualClock()
        self.limits = limits or Limits()
        self.pair = H3Pair(directory, self._begin, **client)

    def _begin(self, streams) -> Http3Session:
        return Http3Session(streams, self.application, clock=self.clock, limits=self.limits)

    async def settle(self) -> None:
        """Let tasks and datagrams have their way in turns."""
        for _ in range(6):
            self.pair.exchange()
            await settle()
        self.pair.exchange()

    def answer(self, body, **named) -> None:
        async def handler(_request: Request) -> Response:
            return response(body, **named)

        self.application.handler = handler

    def pass_time(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1.0)
            self.pair.side.tick(self.clock.monotonic())
        self.pair.exchange()


@pytest.fixture
async def served(tmp_path: Path) -> Served:
    return Served(tmp_path)


async def test_settings_are_understood(served: Served):
    assert served.pair.client.received_settings == {
        frames.SETTINGS_MAX_FIELD_SECTION_SIZE: 16384,
        frames.SETTINGS_GREASE: 0,
    }
    assert served.pair.closed is None


async def test_a_hit(served: Served):
    number = served.pair.request(b"/hit")
    served.pair.exchange()
    assert served.pair.status(number) == b"200"
    assert served.pair.body(number) == b"hello"
    assert served.pair.has_ended(number)
    assert served.application.requests[0].protocol == "HTTP/3"
    assert served.application.ended == [(b"/hit", 5, True)]


async def test_hundreds_of_requests_on_one_connection(served: Served):
    for _ in range(10):
        numbers = [served.pair.request(b"/hit", b"GET", (b"x-n", b"%d" % n)) for n in range(50)]
        served.pair.exchange()
        assert all(served.pair.has_ended(number) for number in numbers)
    assert served.pair.closed is None
    assert not served.pair.side._h3.streams


@pytest.mark.parametrize("method", [b"HEAD", b"GET"])
async def test_a_response_without_content(served: Served, method: bytes):
    # aioquic holds content-length against what such responses do not have
    section = FieldSection([(b"etag", b'"a"')])
    served.application.hits[b"/hit"] = Response(200 if method == b"HEAD" else 304, (section,), b"")
    number = served.pair.request(b"/hit", method)
    served.pair.exchange()
    assert served.pair.sections(number)[0][1:] == list(section.fields)
    assert served.pair.has_ended(number)
    assert served.pair.closed is None


@pytest.mark.parametrize("size", [100_000, 3_000_000])
async def test_large_responses(served: Served, size: int):
    body = bytes(range(256)) * (size // 256)
    served.application.hits[b"/hit"] = response(body)
    numbers = [served.pair.request(b"/hit") for _ in range(3)]
    served.pair.exchange()
    assert [served.pair.body(number) == body for number in numbers] == [True] * 3
    assert served.application.ended == [(b"/hit", len(body), True)] * 3


async def test_content_that_streams_with_hints_and_trailers(served: Served):
    body = Stream(*[bytes(10_000)] * 30)
    body.trailers = ((b"x-sum", b"1"),)

    async def handler(request: Request) -> Response:
        request.interim(103, FieldSection([(b"link", b"</a>")]))
        return response(body)

    served.application.handler = handler
    number = served.pair.request(b"/miss")
    while not served.pair.has_ended(number):
        await served.settle()
    statuses = [dict(section).get(b":status") for section in served.pair.sections(number)]
    assert statuses == [b"103", b"200", None]
    assert served.pair.sections(number)[2] == [(b"x-sum", b"1")]
    assert len(served.pair.body(number)) == 300_000
    assert body.is_closed


async def test_an_upload_is_echoed(served: Served):
    served.application.handler = read_all
    number = served.pair.request(b"/up", b"POST", end=False)
    await served.settle()
    content = bytes(range(256)) * 800
    for at in range(0, len(content), 10_000):
        served.pair.data(number, content[at : at + 10_000])
        await served.settle()
    served.pair.data(number, b"", end=True)
    while not served.pair.has_ended(number):
        await served.settle()
    assert served.pair.body(number) == content
    credit = served.pair.streams.credits[number]
    assert credit >= len(content)
    assert not served.pair.side._h3.streams


async def test_an_answer_before_the_end_of_the_upload(served: Served):
    served.answer(b"enough", status=413)
    number = served.pair.request(b"/up", b"POST", end=False)
    served.pair.data(number, bytes(1000))
    await served.settle()
    assert served.pair.status(number) == b"413"
    assert served.pair.has_ended(number)
    assert served.pair.resets() == {}
    assert served.pair.closed is None


async def test_a_response_that_breaks_off_is_no_whole_one(served: Served):
    served.answer(Stream(b"abc", UpstreamError("http_response_incomplete", 502)))
    number = served.pair.request(b"/miss")
    await served.settle()
    assert served.pair.resets() == {number: codes.INTERNAL_ERROR}
    assert not served.pair.has_ended(number)


async def test_a_client_cancels(served: Served):
    served.answer(Stream(*[bytes(16384)] * 100))
    number = served.pair.request(b"/miss")
    await served.settle()
    served.pair.quic.stop_stream(number, codes.REQUEST_CANCELLED)
    await served.settle()
    assert served.application.ended[-1][2] is False
    assert not served.pair.side._tasks
    other = served.pair.request(b"/hit")
    served.pair.exchange()
    assert served.pair.body(other) == b"hello"


async def test_a_priority_update_of_a_client(served: Served):
    number = served.pair.request(b"/hit", b"GET", (b"priority", b"u=5, i"))
    served.pair.exchange()
    assert served.pair.streams.priorities[number] == (5, True)


async def test_draining_says_goaway_and_closes_without_an_error(served: Served):
    number = served.pair.request(b"/hit")
    served.pair.exchange()
    served.pair.side.drain()
    served.pass_time(6)
    assert served.pair.has_ended(number)
    while served.pair.closed is None:
        served.pair.wait()  # the client lets some time pass before it says so
    closed = served.pair.closed
    assert (closed.error_code, closed.reason_phrase) == (codes.NO_ERROR, "")


@pytest.mark.parametrize(
    ("fields", "refused"),
    [
        ([(b"connection", b"close")], True),
        ([(b"te", b"gzip")], True),
        ([(b"te", b"trailers")], False),
        ([(b"host", b"other.example")], True),
    ],
)
async def test_malformed_requests_are_reset(served: Served, fields, refused: bool):
    number = served.pair.request(b"/hit", b"GET", *fields)
    served.pair.exchange()
    expected = {number: codes.MESSAGE_ERROR} if refused else {}
    assert served.pair.resets() == expected
    assert bool(served.application.requests) is not refused
    assert served.pair.closed is None


def every(count: int) -> Callable[[int], bool]:
    return lambda number: number % count == 0


@pytest.mark.parametrize("lost", [every(3), every(7), every(11)])
async def test_losses_cost_time_and_nothing_else(served: Served, lost: Callable[[int], bool]):
    body = bytes(range(256)) * 300
    served.application.hits[b"/hit"] = response(body)
    served.pair.lost = lost
    numbers = [served.pair.request(b"/hit") for _ in range(20)]
    served.pair.exchange()
    for _ in range(2000):
        if all(served.pair.has_ended(number) for number in numbers):
            break
        served.pair.wait()
    assert [served.pair.body(number) == body for number in numbers] == [True] * 20
    assert served.pair.closed is None


async def test_a_tiny_window_of_the_client(tmp_path: Path):
    served = Served(tmp_path, max_data=3000, max_stream_data=2000)
    served.application.hits[b"/hit"] = response(bytes(50_000))
    numbers = [served.pair.request(b"/hit") for _ in range(3)]
    served.pair.exchange()
    assert [len(served.pair.body(number)) for number in numbers] == [50_000] * 3
