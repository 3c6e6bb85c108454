import asyncio
import os

import pytest

from edgeproxy.runtime.link import link_pair
from edgeproxy.runtime.orders import Orders


async def test_orders_are_obeyed_and_others_passed_on(caplog):
    main, child = link_pair()
    heard: asyncio.Queue = asyncio.Queue()

    def hear(message, descriptor):
        heard.put_nowait((message, descriptor))
        if descriptor is not None:
            raise ValueError("not that")

    orders = Orders(child, hear)
    main.send({"do": "state", "phase": "serving"})
    assert await heard.get() == ({"do": "state", "phase": "serving"}, None)
    reader, writer = os.pipe()
    main.send({"do": "channel"}, writer)
    os.close(writer)
    await heard.get()
    assert "was not understood" in caplog.text
    assert await asyncio.to_thread(os.read, reader, 1) == b""  # it was closed
    os.close(reader)
    orders.report("lost", worker=1)
    assert [message for message, _ in main.received()] == [{"is": "lost", "worker": 1}]
    main.send({"do": "drain"})
    await orders.drain.wait()
    assert not orders.hurry.is_set()
    main.send({"do": "hurry"})
    await orders.hurry.wait()
    orders.close()
    main.close()
    child.close()


async def test_a_loop_that_turns_says_so_again_and_again():
    main, child = link_pair()
    orders = Orders(child, print)
    orders.report_alive(0.0)
    said: list[dict] = []
    async with asyncio.timeout(10):
        while len(said) < 3:
            said += [message for message, _ in main.received()]
            await asyncio.sleep(0)
    assert said[:3] == [{"is": "alive"}] * 3
    orders.close()
    main.close()
    child.close()


async def test_without_a_main_process_everything_ends():
    main, child = link_pair()
    orders = Orders(child, print)
    main.close()
    await orders.hurry.wait()
    assert orders.drain.is_set()
    child.close()


@pytest.mark.parametrize(("order", "may_serve"), [("serve", True), ("drain", False)])
async def test_who_is_prepared_waits_for_a_word(order, may_serve):
    main, child = link_pair()
    orders = Orders(child, print)
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(orders.may_serve())
        await asyncio.sleep(0)
        assert [message for message, _ in main.received()] == [{"is": "prepared"}]
        main.send({"do": order})
    assert asking.result() is may_serve
    orders.close()
    main.close()
    child.close()
