"""Tests for edgeproxy/runtime/candidate.py; between processes it is in test_rollout.py."""

import asyncio

import pytest

from edgeproxy.errors import ConfigError, Problem
from edgeproxy.runtime.candidate import Candidate
from tests.support.barrier import settle


class Worker:
    def __init__(self):
        self.applied = []
        self.held = None

    async def prepare(self, config):
        if self.held is not None:
            await self.held.wait()
        if isinstance(config, Exception):
            raise config
        return f"prepared {config}"

    def apply(self, prepared):
        self.applied.append(prepared)


async def test_what_was_built_is_taken_and_nothing_else():
    said: asyncio.Queue = asyncio.Queue()
    worker, candidate = Worker(), Candidate(0, said.put_nowait)
    candidate.offer(worker, 1, "a")
    assert await said.get() == {"say": "prepared", "generation": 1, "problems": []}
    with pytest.raises(ValueError, match="generation 2 was not built"):
        candidate.take(worker, 2)
    candidate.offer(worker, 3, "b")
    await said.get()
    candidate.take(worker, 3)
    assert await said.get() == {"say": "running", "generation": 3}
    assert (worker.applied, candidate.running) == (["prepared b"], 3)
    candidate.offer(worker, 4, "c")
    await said.get()
    candidate.drop()
    with pytest.raises(ValueError, match="not built"):
        candidate.take(worker, 4)
    await candidate.aclose()


@pytest.mark.parametrize(
    ("fault", "message"),
    [(ConfigError([Problem("f", 1, "p", "no")]), "no"), (RuntimeError("x"), "internal: ")],
)
async def test_faults_are_answers(fault, message):
    said: asyncio.Queue = asyncio.Queue()
    candidate = Candidate(0, said.put_nowait)
    candidate.offer(Worker(), 1, fault)
    [problem] = (await said.get())["problems"]
    assert problem["message"].startswith(message)
    await candidate.aclose()


async def test_another_one_takes_the_place_of_one_that_is_being_built():
    said: asyncio.Queue = asyncio.Queue()
    worker, candidate = Worker(), Candidate(0, said.put_nowait)
    worker.held = asyncio.Event()
    candidate.offer(worker, 1, "a")
    await settle()
    candidate.offer(worker, 2, "b")
    worker.held.set()
    assert (await said.get())["generation"] == 2
    await candidate.aclose()
    assert said.empty()
