import asyncio
import os

import pytest

from edgeproxy.control.api import control_server
from edgeproxy.control.certificates import NotReverted, Reverted
from edgeproxy.control.reloading import NotReloaded, Reloaded, document_of
from edgeproxy.control.socket_file import claim
from edgeproxy.errors import Problem
from tests.support.operators import curl, curl_json

PROBLEM = Problem("edge.toml", 3, "listen", "wrong")


class Certificates:
    """Two identities, one of which has been loaded twice."""

    def __init__(self) -> None:
        self.loads = 0
        self.running = 0
        self.most_running = 0

    def status(self):
        return {"identities": [{"name": "a.example", "loads": self.loads}]}

    async def reload(self):
        self.running += 1
        self.most_running = max(self.most_running, self.running)
        await asyncio.sleep(0)
        self.loads += 1
        self.running -= 1
        return self.status()

    async def revert(self, name):
        if name == "a.example":
            return Reverted({"name": name, "active_since": "2026-01-01T00:00:00+00:00"})
        return NotReverted("nothing-kept" if name == "b.example" else "unknown-name")


@pytest.fixture
def certificates():
    return Certificates()


@pytest.fixture
async def socket(tmp_path, certificates):
    async def status():
        return {"pop": "fra1", "pid": os.getpid()}

    control = claim(tmp_path, "fra1")
    outcomes = iter([Reloaded(("host",), ()), NotReloaded((PROBLEM,))])

    async def reload():
        return next(outcomes)

    server = control_server(certificates, status, reload)
    await server.start([control.sock])
    yield control.path
    await server.aclose()
    control.close()


async def test_the_whole_is_described(socket):
    assert await curl_json(socket, "/v1/status") == (200, {"pop": "fra1", "pid": os.getpid()})


async def test_certificates_are_described(socket):
    status, document = await curl_json(socket, "/v1/certificates")
    assert (status, document["identities"][0]["name"]) == (200, "a.example")


async def test_a_reload_answers_with_what_is_live_then(socket):
    status, document = await curl_json(socket, "/v1/certificates/reload", "-X", "POST")
    assert (status, document["identities"][0]["loads"]) == (200, 1)


async def test_a_configuration_is_live_or_its_problems_are_told(socket):
    assert await curl_json(socket, "/v1/reload", "-X", "POST") == (
        200,
        {"result": "reloaded", "changed": ["host"], "warnings": []},
    )
    status, document = await curl_json(socket, "/v1/reload", "-X", "POST")
    assert (status, document["result"]) == (422, "refused")
    assert document["problems"] == [document_of(PROBLEM)]


async def test_changes_are_made_one_after_another(socket, certificates):
    async with asyncio.TaskGroup() as group:
        for _ in range(5):
            group.create_task(curl_json(socket, "/v1/certificates/reload", "-X", "POST"))
    assert (certificates.loads, certificates.most_running) == (5, 1)


@pytest.mark.parametrize(
    ("name", "status", "said"),
    [
        ("a.example", 200, "a.example"),
        ("b.example", 409, "nothing is kept that 'b.example' could go back to"),
        ("c.example", 404, "there is no identity 'c.example'"),
        ("%2e%2e%2fx", 404, "there is no identity '../x'"),
    ],
)
async def test_a_revert_says_what_came_of_it(socket, name, status, said):
    done = await curl_json(socket, f"/v1/certificates/{name}/revert", "-X", "POST")
    assert done[0] == status
    assert said in (done[1].get("name"), done[1].get("detail"))


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/certificates/reload", 405),
        ("GET", "/v1/certificates/a.example/revert", 405),
        ("POST", "/v1/certificates", 405),
        ("GET", "/v1/certificates/a.example", 404),
        ("GET", "/metrics", 404),
    ],
)
async def test_nothing_else_is_there(socket, method, path, status):
    answer = await curl(f"http://localhost{path}", "-X", method, socket=socket)
    assert answer.status == status
    assert answer.fields["content-type"].startswith("application/problem+json")
