"""A control socket that answers what a test wants: a peer of its own, over a real Unix socket."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def control_socket(path: Path, *answers, raw: bytes | None = None) -> Iterator[list[str]]:
    """Answer one request after another with (status, document); yields the request lines.

    `raw` is sent in place of any answer, b"" to say nothing at all.
    """
    heard: list[str] = []
    waiting = list(answers)
    loop = asyncio.new_event_loop()
    ready = threading.Event()
    ended = asyncio.Event()

    async def speak(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        heard.append(head.split(b"\r\n")[0].decode())
        if raw == b"":
            await ended.wait()
        elif raw is not None:
            writer.write(raw)
        else:
            status, document = waiting.pop(0)
            body = json.dumps(document).encode()
            head = (
                f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
            )
            writer.write(head.encode() + body)
        writer.close()

    async def serve():
        server = await asyncio.start_unix_server(speak, path)
        ready.set()
        await ended.wait()
        server.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()))
    thread.start()
    ready.wait()
    try:
        yield heard
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join()
        for task in asyncio.all_tasks(loop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                loop.run_until_complete(task)
        loop.close()
