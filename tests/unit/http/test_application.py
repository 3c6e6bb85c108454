import inspect

from edgeproxy.http.application import Application
from edgeproxy.http.messages import ConnectionInfo, Request, Response


class Echo:
    """The least that satisfies the protocol."""

    def __init__(self) -> None:
        self.ended: list[tuple[int, bool]] = []

    def hit(self, request: Request, now: float) -> Response | None:
        return None

    async def handle(self, request: Request) -> Response:
        return Response(204, ())

    def completed(
        self, request: Request, response: Response, body_bytes: int, *, is_whole: bool
    ) -> None:
        self.ended.append((body_bytes, is_whole))


async def test_an_application_answers_and_hears_how_it_ended():
    echo = Echo()
    application: Application = echo
    request = Request(b"GET", b"/", [], authority=b"a", connection=ConnectionInfo("192.0.2.1"))
    assert application.hit(request, 0.0) is None
    response = await application.handle(request)
    application.completed(request, response, 0, is_whole=True)
    assert response.status == 204
    assert echo.ended == [(0, True)]


def test_the_protocol_is_three_methods_of_these_shapes():
    methods = {name for name in vars(Application) if not name.startswith("_")}
    assert methods == {"hit", "handle", "completed"}
    for name in methods:
        assert inspect.signature(getattr(Application, name)) == inspect.signature(
            getattr(Echo, name)
        )
    assert inspect.iscoroutinefunction(Application.handle)
