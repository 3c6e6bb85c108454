"""`edgeproxy serve` and `check` as programs: what stops a start, and how an orderly end looks."""

import asyncio
import contextlib
import hashlib
import os
import re
import signal
import socket

import pytest

from tests.support.barrier import Barrier
from tests.support.h1_client import h1_client
from tests.support.h2_crowd import h2_crowd
from tests.support.operators import curl, curl_json
from tests.support.pop import ENTRY, make_place, scripted_origin
from tests.support.served import run, served

PIECES = [bytes([number]) * 2**16 for number in range(32)]
WHOLE = b"".join(PIECES)
NO_ERROR = 0
LATE_RULE = """
[[host.rule]]
id = "late"
path = "/late/*"
policy = "versioned"
"""


@pytest.fixture
def place(tmp_path):
    return make_place(tmp_path)


def line_of(text: str, part: str) -> int:
    return 1 + text[: text.index(part)].count("\n")


FAULTS = {
    "a misspelt key": (
        lambda text: text.replace("[limits]", "[limits]\nidle_timout = '5s'"),
        "idle_timout",
        r"limits\.idle_timout: unknown key \(did you mean 'idle_timeout'\?\)",
    ),
    "a missing certificate": (
        lambda text: re.sub(r'chain = ".*?"', 'chain = "/nowhere/chain.pem"', text),
        "/nowhere/chain.pem",
        r"host\.0\.cert\.chain: there is no file /nowhere/chain\.pem",
    ),
    "an unreachable rule": (
        lambda text: text.replace("[log]", LATE_RULE + "[log]"),
        'path = "/late/*"',
        r"host\.0\.rule\.1\.path: the rule is never reached: earlier rules match all its paths",
    ),
}


@pytest.mark.parametrize("command", ["check", "serve"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_is_one_line_with_file_and_line(place, command, fault):
    change, where, message = FAULTS[fault]
    text = change(place.text("https://127.0.0.1:9", rules=ENTRY))
    path = place.folder / "edge.toml"
    path.write_text(text)
    code, out, said = await run(command, "-c", path)
    assert code == 78
    assert out == ""
    pattern = rf"error: {re.escape(str(path))}:{line_of(text, where)}: {message}\n"
    assert re.fullmatch(pattern, said), said


async def test_check_says_that_all_is_well_and_listens_nowhere(place):
    path = place.folder / "edge.toml"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        path.write_text(place.text("https://127.0.0.1:9", rules=ENTRY, port=port))
        code, out, said = await run("check", "-c", path)
        assert (code, said) == (0, "")
        assert out.startswith(f"ok: fra1 on 127.0.0.1:{port}\n")

        code, out, said = await run("serve", "-c", path)
        assert (code, out) == (69, "")
        taken_by = f"cannot listen on 127.0.0.1:{port}: the port is taken by another program"
        assert said == f"error: {taken_by}\n"


def talkative(text: str) -> str:
    return text.replace('level = "warning"', 'level = "info"')


async def refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


async def test_downloads_finish_before_the_process_ends(place):
    path = place.folder / "edge.toml"
    async with scripted_origin(place.ca) as origin:
        reply = origin.on("GET", "/large").reply(200, PIECES)
        reply.pause(16, middle := Barrier())
        text = place.text(origin.url, rules=ENTRY, listen="workers = 1")
        path.write_text(talkative(text))
        async with (
            served(path) as edge,
            h2_crowd(edge.port, place.ca.path, "/large", connections=2, streams=5) as h2,
            h1_client(edge.port, place.ca.path) as h1,
            h1_client(edge.port, place.ca.path) as idle,
        ):
            h1.send("GET", "/large")
            await h2.first_bytes()
            older = await h1.reply()
            await middle.reached()

            edge.terminate()
            await edge.says("draining")
            assert await idle.closed() == b""
            assert await refused(edge.port)
            await h2.told_to_go()
            assert not any(member.is_whole for member in h2.members)
            middle.open()

            assert (await older.whole()).body == WHOLE
            assert await h1.closed() == b""
            await h2.closed()
            assert {member.digest for member in h2.members} == {hashlib.sha256(WHOLE).digest()}
            assert all(member.is_whole for member in h2.members)
            for line in h2.lines:
                assert line.goaways == [(2**31 - 1, NO_ERROR), (9, NO_ERROR)]
            assert await edge.ended() == 0
        assert origin.requests == 1


async def test_who_does_not_finish_is_cut_off_after_the_time_for_it(place):
    path = place.folder / "edge.toml"
    async with scripted_origin(place.ca) as origin:
        origin.on("GET", "/large").reply(200, PIECES).pause(16, Barrier())
        text = talkative(place.text(origin.url, rules=ENTRY, listen="workers = 1"))
        path.write_text(text.replace('drain_timeout = "20s"', 'drain_timeout = "100ms"'))
        async with served(path) as edge, h1_client(edge.port, place.ca.path) as client:
            client.send("GET", "/large")
            await (await client.reply()).piece()
            edge.terminate()
            await client.closed()
            assert await edge.ended() == 0
        assert "drain_timeout passed with 1 connections open" in edge.said


async def test_operators_reach_it_also_after_it_was_killed_and_started_again(place):
    text = place.text("https://127.0.0.1:9", listen='metrics = "127.0.0.1:0"')
    path = place.folder / "edge.toml"
    path.write_text(text.replace('level = "warning"', 'level = "info"'))
    control = place.folder / "state" / "fra1.sock"
    pids = set()
    for _ in range(2):
        async with served(path) as edge:
            port = (await edge.says(r"http://127\.0\.0\.1:(\d+) \(metrics\)"))[1]
            assert (await curl(f"http://127.0.0.1:{port}/healthz")).body == b"ok\n"
            assert (await curl_json(control, "/v1/status"))[1]["phase"] == "serving"
            pids.add((await curl_json(control, "/v1/status"))[1]["pid"])
            async with served(path) as second:  # it serves, but cannot be asked
                assert "another PoP named 'fra1' is running" in second.said
            status = (await curl_json(control, "/v1/status"))[1]
            assert status["pid"] in pids
            os.kill(status["steward"]["pid"], signal.SIGSTOP)  # or it tidies up behind main
            edge.kill()
            with contextlib.suppress(ProcessLookupError):
                os.kill(status["steward"]["pid"], signal.SIGKILL)
        assert control.exists()  # killed, it could not tidy up
    assert len(pids) == 2
    async with served(path) as edge:
        edge.terminate()
        assert await edge.ended() == 0
        assert not control.exists()
