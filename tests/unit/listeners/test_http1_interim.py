"""Tests for edgeproxy/listeners/http1.py: interim responses on their way to the client."""

from edgeproxy.http.messages import FieldSection, Request, Response
from edgeproxy.listeners.session import INTERIM_MAX
from tests.support.http1_session import HELLO, Connection, get, post, response

LINK = FieldSection([(b"link", b"</a>")])
HINT = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n"


def hinting(connection: Connection, count: int = 1) -> list[Request]:
    """Let the application say so many hints before it answers."""
    asked: list[Request] = []

    async def handler(request: Request) -> Response:
        asked.append(request)
        for _ in range(count):
            if request.interim is not None:
                request.interim(103, LINK)
        return response()

    connection.application.handler = handler
    return asked


async def test_a_hint_goes_out_before_the_response(connection: Connection) -> None:
    hinting(connection)
    connection.receive(get(b"/"))
    await connection.settle()
    assert connection.channel.writes == [HINT, HELLO]


async def test_each_of_pipelined_requests_gets_its_own(connection: Connection) -> None:
    hinting(connection)
    connection.receive(get(b"/") + get(b"/hit") + get(b"/"))
    await connection.settle()
    assert connection.sent == HINT + HELLO + HELLO + HINT + HELLO


async def test_a_client_of_http_1_0_gets_none(connection: Connection) -> None:
    asked = hinting(connection)
    connection.receive(get(b"/", version=b"1.0"))
    await connection.settle()
    assert connection.statuses == [200]
    assert asked[0].interim is None


async def test_a_storm_is_cut_short(connection: Connection) -> None:
    hinting(connection, 1000)
    connection.receive(get(b"/"))
    await connection.settle()
    assert connection.statuses == [103] * INTERIM_MAX + [200]


async def test_a_client_that_does_not_read_is_spared() -> None:
    connection = Connection(pause_after=1)
    hinting(connection, 3)
    connection.receive(get(b"/"))
    await connection.settle()
    assert connection.channel.writes[0] == HINT
    connection.drained()
    await connection.settle()
    assert connection.statuses == [103, 200]


async def test_what_comes_too_late_reaches_no_other_request(connection: Connection) -> None:
    kept = []

    async def handler(request: Request) -> Response:
        kept.append(request.interim)
        return response()

    connection.application.handler = handler
    connection.receive(post(b"/", b"x"))
    await connection.settle()
    kept[0](103, LINK)
    connection.receive(get(b"/"))
    await connection.settle()
    assert connection.sent == HELLO * 2


async def test_an_answered_request_leads_back_to_nobody(connection: Connection) -> None:
    """Else it and its exchange would refer to each other, and wait for the collector."""
    asked = hinting(connection)
    connection.receive(get(b"/"))
    await connection.settle()
    assert [request.interim for request in asked] == [None]
