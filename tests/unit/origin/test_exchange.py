"""Tests for edgeproxy/origin/exchange.py."""

import asyncio
from types import SimpleNamespace

import pytest

from edgeproxy.errors import UpstreamError
from edgeproxy.origin.asides import Asides
from edgeproxy.origin.exchange import Exchange, Phase, tracing
from edgeproxy.origin.settings import OriginSettings

FOREVER = 1e9


def exchange(total_deadline=FOREVER, **seconds):
    chosen = {f"{name}_timeout_seconds": value for name, value in seconds.items()}
    settings = OriginSettings(
        name="a", url="http://a", **{"total_timeout_seconds": FOREVER, **chosen}
    )
    return Exchange(settings, total_deadline, Asides())


async def linger(made, phases):
    async with made:
        for phase in phases:
            made.enter(phase)
        await asyncio.Event().wait()


async def word_after(made, *phases):
    with pytest.raises(UpstreamError) as caught:
        await linger(made, phases)
    return caught.value.word


@pytest.mark.parametrize(
    ("phases", "word"),
    [
        ([], "connection_limit_reached"),
        ([Phase.RESOLVING], "dns_timeout"),
        ([Phase.CONNECTING], "connection_timeout"),
    ],
)
async def test_everything_up_to_the_connection_shares_one_allowance(phases, word):
    assert await word_after(exchange(connect=0.01, first_byte=FOREVER), *phases) == word


async def test_waiting_for_the_response_has_its_own():
    made = exchange(connect=FOREVER, first_byte=0.01)
    assert await word_after(made, Phase.SENDING, Phase.WAITING) == "http_response_timeout"


async def test_the_total_bounds_every_phase():
    now = asyncio.get_running_loop().time()
    made = exchange(total_deadline=now + 0.01, connect=FOREVER, first_byte=FOREVER)
    assert await word_after(made, Phase.SENDING) == "connection_write_timeout"


async def test_other_errors_pass():
    with pytest.raises(KeyError):
        async with exchange(connect=FOREVER):
            raise KeyError


async def test_the_hooks_of_the_client_move_it():
    config = tracing()
    context = SimpleNamespace(trace_request_ctx=exchange(connect=FOREVER))
    async with context.trace_request_ctx as made:
        await config.on_connection_create_start.send(None, context, None)
        assert made.phase is Phase.CONNECTING
        await config.on_dns_resolvehost_start.send(None, context, None)
        assert made.phase is Phase.RESOLVING
        await config.on_dns_resolvehost_end.send(None, context, None)
        await config.on_connection_create_end.send(None, context, None)
        assert made.phase is Phase.SENDING
        assert not made.is_connecting
        await config.on_dns_resolvehost_end.send(None, context, None)
        assert made.phase is Phase.SENDING  # a name that resolves late does not set it back
        made.sent()
        assert made.phase is Phase.WAITING
        assert not made.is_reused


async def test_an_idle_connection_is_remembered():
    context = SimpleNamespace(trace_request_ctx=exchange(connect=FOREVER))
    async with context.trace_request_ctx as made:
        await tracing().on_connection_reuseconn.send(None, context, None)
    assert made.is_reused
    assert made.phase is Phase.SENDING


async def test_a_request_that_is_complete_too_late_changes_nothing():
    made = exchange(connect=0.01)
    assert await word_after(made) == "connection_limit_reached"
    made.sent()
    assert made.phase is Phase.QUEUED
