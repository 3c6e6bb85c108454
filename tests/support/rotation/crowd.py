"""Clients of a PoP whose certificates are replaced: new connections, and old ones that go on.

python -m tests.support.rotation.crowd PORT CA_FILE HANDSHAKES_PER_SECOND REQUESTS_PER_SECOND

Says "ready" when the old connections are made, and goes on until a line comes on standard input.
Prints JSON: what failed, how long handshakes took, and, as a control, how late each planned one
began: what this process itself was made to wait.
"""

import asyncio
import json
import socket
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509 import ocsp
from OpenSSL import SSL

from edgeproxy.tls.hooks import is_resumed
from tests.support.h2_client import H2Client, h2_client
from tests.support.handshake import client_context

NAME = "localhost"
PATH = "/bundle.js"
BODY_BYTES = 2048
CONNECTIONS = 4
_PATIENCE_SECONDS = 10.0
_FAULTS_MAX = 20


class Crowd:
    """What all clients saw."""

    def __init__(self, port: int, ca_file: Path) -> None:
        self._port = port
        self._ca_file = ca_file
        self._context = client_context(ca_file)
        self._context.set_ocsp_client_callback(_take_staple)
        self._responses: dict[bytes, int] = {}
        self.is_over = asyncio.Event()
        self.faults: list[str] = []
        self.failed_handshakes = 0
        self.failed_requests = 0
        self.requests = 0
        self.shown: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.milliseconds: list[float] = []
        self.late_milliseconds: list[float] = []

    async def newcomers(self, rate: float) -> None:
        """Begin so many handshakes a second, whatever they take."""
        began = time.perf_counter()
        number = 0
        async with asyncio.TaskGroup() as group:
            while not self.is_over.is_set():
                planned = began + number / rate
                await asyncio.sleep(max(0.0, planned - time.perf_counter()))
                self.late_milliseconds.append((time.perf_counter() - planned) * 1000)
                group.create_task(self._come_and_go())
                number += 1

    async def regulars(self, client: H2Client, rate: float) -> None:
        """Ask again and again on one connection, which is never made anew."""
        while not self.is_over.is_set() and not client.is_over.is_set():
            self.requests += 1
            try:
                await self._ask(client)
            except Exception as error:  # noqa: BLE001 - whatever it is, the request failed
                self.failed_requests += 1
                self._blame("request", error)
            await asyncio.sleep(1 / rate)

    async def _ask(self, client: H2Client) -> None:
        reply = await client.get(PATH)
        client.replies.pop(reply.stream_id)
        if reply.status != 200 or len(reply.body) != BODY_BYTES:
            raise ValueError(f"status {reply.status}, {len(reply.body)} octets")

    async def _come_and_go(self) -> None:
        began = time.perf_counter()
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await self._visit()
        except Exception as error:  # noqa: BLE001 - whatever it is, the handshake failed
            self.failed_handshakes += 1
            self._blame("handshake", error)
        else:
            self.milliseconds.append((time.perf_counter() - began) * 1000)

    async def _visit(self) -> None:
        """Shake hands, look at what was shown, and take leave in order.

        The edge answers close_notify only if it took our Finished: then it, too, was content.
        """
        connection = SSL.Connection(self._context, None)
        connection.set_connect_state()
        connection.set_tlsext_host_name(NAME.encode())
        connection.request_ocsp()
        connection.set_app_data(staples := [])
        with socket.socket() as sock:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", self._port))
            await _until(sock, connection, connection.do_handshake)
            self._judge(connection, staples)
            connection.shutdown()
            try:
                await _until(sock, connection, lambda: connection.recv(1))
            except SSL.ZeroReturnError:
                return
            raise ValueError("octets that nobody asked for")

    def _judge(self, connection: SSL.Connection, staples: list[bytes]) -> None:
        leaf = connection.get_peer_certificate(as_cryptography=True)
        serial = None if leaf is None else leaf.serial_number
        if serial is None or is_resumed(connection):
            raise ValueError("the handshake was not a full one")
        if len(staples) != 1 or not staples[0]:
            raise ValueError(f"no staple for {serial:x}")
        if (stapled := self._serial_of(staples[0])) != serial:
            raise ValueError(f"a staple for {stapled:x} with the certificate {serial:x}")
        self.shown[f"{serial:x}"] += 1
        is_rsa = isinstance(leaf.public_key(), rsa.RSAPublicKey)
        self.kinds["rsa" if is_rsa else "ecdsa"] += 1

    def _serial_of(self, der: bytes) -> int:
        """Return whose staple it is; a good one, or there is a ValueError."""
        if der not in self._responses:
            response = ocsp.load_der_ocsp_response(der)
            if response.certificate_status is not ocsp.OCSPCertStatus.GOOD:
                raise ValueError(f"a staple that says {response.certificate_status}")
            self._responses[der] = response.serial_number
        return self._responses[der]

    def _blame(self, what: str, error: Exception) -> None:
        if len(self.faults) < _FAULTS_MAX:
            self.faults.append(f"{what}: {type(error).__name__} {error}")


def _take_staple(connection: SSL.Connection, der: bytes, _data: object) -> bool:
    connection.get_app_data().append(der)
    return True


async def _until(
    sock: socket.socket, connection: SSL.Connection, step: Callable[[], object]
) -> None:
    """Pass octets between a connection and its socket until a step of it is done."""
    loop = asyncio.get_running_loop()
    while True:
        try:
            step()
        except SSL.WantReadError:
            await _flush(sock, connection)
            data = await loop.sock_recv(sock, 65536)
            if not data:
                raise ConnectionError("the edge hung up") from None
            connection.bio_write(data)
        else:
            await _flush(sock, connection)
            return


async def _flush(sock: socket.socket, connection: SSL.Connection) -> None:
    try:
        while data := connection.bio_read(65536):
            await asyncio.get_running_loop().sock_sendall(sock, data)
    except SSL.WantReadError:
        return


async def run(port: int, ca_file: Path, handshake_rate: float, request_rate: float) -> dict:
    """Run everybody until a line is read."""
    crowd = Crowd(port, ca_file)
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(h2_client(port, ca_file, name=NAME))
            for _ in range(CONNECTIONS)
        ]
        async with asyncio.TaskGroup() as group:
            for client in clients:
                group.create_task(crowd.regulars(client, request_rate / CONNECTIONS))
            group.create_task(crowd.newcomers(handshake_rate))
            print("ready", flush=True)
            await asyncio.to_thread(sys.stdin.readline)
            crowd.is_over.set()
        lost = sum(client.is_over.is_set() for client in clients)
    return {
        "handshakes": len(crowd.milliseconds),
        "failed_handshakes": crowd.failed_handshakes,
        "requests": crowd.requests,
        "failed_requests": crowd.failed_requests,
        "lost_connections": lost,
        "faults": crowd.faults,
        "shown": crowd.shown,
        "kinds": crowd.kinds,
        "milliseconds": sorted(crowd.milliseconds),
        "late_milliseconds": sorted(crowd.late_milliseconds),
    }


def main(port: str, ca_file: str, *rates: str) -> None:
    found = asyncio.run(run(int(port), Path(ca_file), *map(float, rates)))
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
