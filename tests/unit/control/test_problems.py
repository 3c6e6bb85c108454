import asyncio
import json

import pytest
from aiohttp import web

from edgeproxy.control.problems import CONTENT_BYTES_MAX, application, document, problem
from tests.support.operators import ask, small_server


async def hello(_request: web.Request) -> web.Response:
    return web.Response(text="hello")


async def fail(_request: web.Request) -> web.Response:
    raise ValueError("the reason")


async def wait(_request: web.Request) -> web.Response:
    await asyncio.Event().wait()
    return web.Response()


@pytest.fixture
async def port():
    routes = [
        web.get("/", hello),
        web.get("/fail", fail),
        web.get("/wait", wait),
        web.post("/do", hello),
    ]
    async with small_server(application(routes, seconds_max=0.5)) as (_, port):
        yield port


async def answer(port: int, line: str, content: bytes = b"") -> tuple[int, dict[str, str], bytes]:
    head = f"{line} HTTP/1.1\r\nhost: x\r\ncontent-length: {len(content)}\r\n\r\n"
    head, _, body = (await ask(port, head.encode() + content)).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
    return int(first.split(" ")[1]), fields, body


async def test_an_answer_ends_its_connection_and_advertises_nothing(port):
    status, fields, body = await answer(port, "GET /")
    assert (status, body) == (200, b"hello")
    assert fields["connection"] == "close"
    assert fields["cache-control"] == "no-store"
    assert fields["x-content-type-options"] == "nosniff"
    assert "server" not in fields


async def test_head_is_get_without_content(port):
    status, fields, body = await answer(port, "HEAD /")
    assert (status, fields["content-length"], body) == (200, "5", b"")


@pytest.mark.parametrize(
    ("line", "content", "status", "title"),
    [
        ("GET /nowhere", b"", 404, "Not Found"),
        ("DELETE /", b"", 405, "Method Not Allowed"),
        ("POST /do", b"x" * (CONTENT_BYTES_MAX + 1), 413, "Request Entity Too Large"),
        ("GET /fail", b"", 500, "Internal Server Error"),
        ("GET /wait", b"", 503, "Service Unavailable"),
    ],
)
async def test_errors_are_problem_documents(port, line, content, status, title):
    said, fields, body = await answer(port, line, content)
    assert said == status
    assert fields["content-type"].startswith("application/problem+json")
    told = json.loads(body)
    assert (told["type"], told["status"], told["title"]) == ("about:blank", status, title)


async def test_a_method_that_is_not_allowed_comes_with_those_that_are(port):
    _, fields, _ = await answer(port, "PUT /")
    assert set(fields["allow"].split(",")) == {"GET", "HEAD"}


async def test_our_faults_are_logged_and_not_told(port, caplog):
    _, _, body = await answer(port, "GET /fail")
    assert b"reason" not in body
    assert "GET /fail failed" in caplog.text
    assert "ValueError: the reason" in caplog.text


@pytest.mark.parametrize(
    ("content", "is_broken_off", "answer"),
    [
        (b"content-length: 5\r\n\r\nab", True, b""),
        (b"transfer-encoding: chunked\r\n\r\nx\r\n", False, b"HTTP/1.0 400 "),
        (b"transfer-encoding: chunked\r\n\r\n1\r\nabc\r\n", False, b"HTTP/1.0 400 "),
    ],
)
async def test_faults_of_clients_are_not_logged(port, caplog, content, is_broken_off, answer):
    head = b"POST /do HTTP/1.1\r\nhost: x\r\n"
    assert (await ask(port, head + content, ends=is_broken_off)).startswith(answer)
    assert caplog.text == ""


async def test_some_content_may_come_along(port):
    assert (await answer(port, "POST /do", b"x" * 100))[0] == 200


def test_a_detail_is_part_of_the_document():
    assert json.loads(problem(409, "why").text)["detail"] == "why"
    assert "detail" not in json.loads(problem(409).text)


def test_documents_are_json():
    made = document({"a": [1]})
    assert (made.content_type, json.loads(made.text)) == ("application/json", {"a": [1]})
