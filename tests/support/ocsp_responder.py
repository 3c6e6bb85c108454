"""An OCSP responder on loopback: real sockets, and every way to answer wrongly or not at all.

async with OcspResponder(OcspAnswers(ca, ca.ocsp_signer())) as responder:
    leaf = ca.issue("widgets.test", ocsp_url=responder.url)
    responder.mode = "revoked"

As a program, `python -m tests.support.ocsp_responder FOLDER` makes an authority and a leaf there,
prints the URL and the files, and takes modes from standard input, one a line.
"""

import asyncio
import base64
import socket
import struct
import sys
from pathlib import Path
from typing import Literal, Self
from urllib.parse import unquote_to_bytes

from cryptography.x509 import ocsp

from tests.support.barrier import Barrier
from tests.support.ca import LocalCa
from tests.support.ocsp_answers import ANSWER_MODES, AnswerMode, OcspAnswers

# Modes in which HTTP, TCP or time is at fault; "post_only" answers well, but not to GET.
TransportMode = Literal[
    "http_500",
    "redirect",
    "html",
    "slow",
    "oversized",
    "endless",
    "not_http",
    "truncated",
    "reset",
    "post_only",
]
Mode = AnswerMode | TransportMode

_OVERSIZED_BYTES = 65 * 1024
_PIECE = b"x" * 16384


class OcspResponder:
    """One responder; `mode` may be changed at any time, `requests` holds what was asked.

    `released` is what "slow" waits for before it says nothing, `held` what any answer waits for,
    where there is one. `stop_listening` makes it refuse connections and
    `listen` take its port again.
    """

    def __init__(self, answers: OcspAnswers, mode: Mode = "good") -> None:
        self.answers = answers
        self.mode: Mode = mode
        self.requests: list[ocsp.OCSPRequest] = []
        self.methods: list[str] = []
        self.heads: list[bytes] = []
        self.released = Barrier()
        self.held: Barrier | None = None
        self.port = 0
        self._server: asyncio.Server | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/ocsp"

    async def listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop_listening(self) -> None:
        if self._server is not None:
            self._server.close()
            self.released.open()
            if self.held is not None:
                self.held.open()
            await self._server.wait_closed()
            self._server = None

    async def __aenter__(self) -> Self:
        await self.listen()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop_listening()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            method, request = await self._read(reader)
            self.methods.append(method)
            self.requests.append(request)
            await self._answer(method, request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader) -> tuple[str, ocsp.OCSPRequest]:
        head = await reader.readuntil(b"\r\n\r\n")
        self.heads.append(head)
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        if method == "GET":
            der = base64.b64decode(unquote_to_bytes(target.removeprefix("/ocsp/")), validate=True)
        else:
            length = next(
                line.split(b":")[1]
                for line in head.lower().split(b"\r\n")
                if line.startswith(b"content-length:")
            )
            der = await reader.readexactly(int(length))
        return method, ocsp.load_der_ocsp_request(der)

    async def _answer(
        self, method: str, request: ocsp.OCSPRequest, writer: asyncio.StreamWriter
    ) -> None:
        mode = self.mode
        if self.held is not None:
            await self.held.passed()
        if mode == "slow":
            await self.released.passed()
        elif mode == "reset":
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        elif mode == "endless":
            writer.write(_head(200) + b"\r\n")
            while True:
                writer.write(_PIECE)
                await writer.drain()
        elif mode == "not_http":
            writer.write(b"220 mail.test ESMTP\r\n")
        elif mode == "truncated":
            writer.write(_message(self.answers.to(request))[:-10])
        elif mode in ANSWER_MODES or (mode == "post_only" and method == "POST"):
            chosen: AnswerMode = "good" if mode == "post_only" else mode
            writer.write(_message(self.answers.to(request, chosen)))
        else:
            writer.write(self._refusal(mode))

    def _refusal(self, mode: Mode) -> bytes:
        if mode == "post_only":
            return _message(b"", 405)
        if mode == "redirect":
            return _message(b"", 302, f"Location: {self.url}/elsewhere\r\n")
        if mode == "html":
            return _message(b"<p>Log in to our network</p>", content_type="text/html")
        if mode == "oversized":
            return _message(bytes(_OVERSIZED_BYTES))
        return _message(b"", 500)


def _head(status: int, content_type: str = "application/ocsp-response") -> bytes:
    return f"HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\nConnection: close\r\n".encode()


def _message(
    content: bytes,
    status: int = 200,
    fields: str = "",
    content_type: str = "application/ocsp-response",
) -> bytes:
    fields += f"Content-Length: {len(content)}\r\n\r\n"
    return _head(status, content_type) + fields.encode() + content


async def _main(folder: Path) -> None:
    ca = LocalCa(folder)
    async with OcspResponder(OcspAnswers(ca, ca.ocsp_signer())) as responder:
        leaf = ca.issue("localhost", "127.0.0.1", ocsp_url=responder.url)
        print(responder.url, ca.path, leaf.chain_path, leaf.key_path, flush=True)
        while line := (await asyncio.to_thread(sys.stdin.readline)).strip():
            responder.mode = line  # type: ignore[assignment]


if __name__ == "__main__":
    asyncio.run(_main(Path(sys.argv[1])))
