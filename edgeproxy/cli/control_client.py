"""Asks the point of presence that runs on this machine, through its control socket.

HTTP over a Unix socket in the folder of its state. One question, one answer, one deadline; what a
document means is for those who ask.
"""

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import aiohttp
from yarl import URL

from edgeproxy.config.compile import state_directory
from edgeproxy.control.socket_file import socket_path
from edgeproxy.errors import UnavailableError

if TYPE_CHECKING:
    from edgeproxy.config.schema import Config

# The edge gives itself 30 s: a reload tries out every certificate, some milliseconds each.
_TIMEOUT_SECONDS: Final = 35.0
_ANSWER_BYTES_MAX: Final = 8 * 1024 * 1024


class NotRunningError(UnavailableError):
    """No point of presence listens on the control socket."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON document."""

    status: int
    document: dict[str, Any]

    @property
    def is_fine(self) -> bool:
        """Whether what was asked for was done."""
        return 200 <= self.status < 300

    @property
    def fault(self) -> str:
        """Return why not, as a problem document says it (RFC 9457 section 3.1)."""
        words = [self.document.get(key) for key in ("title", "detail")]
        return ": ".join(str(word) for word in words if word) or f"status {self.status}"


def control_socket_path(config: "Config") -> Path:
    """Return where the control socket of a point of presence is."""
    return socket_path(state_directory(config, os.environ), config.pop.name)


def ask(
    socket: Path, method: str, *segments: str, timeout_seconds: float = _TIMEOUT_SECONDS
) -> Answer:
    """Ask for the resource of these path segments.

    Raises:
        NotRunningError: nobody is there.
        UnavailableError: somebody is, and gives no answer that can be read.
        PermissionError: the socket is not for this user.
    """
    url = URL("http://control/" + "/".join(quote(each, safe="") for each in segments), encoded=True)
    try:
        return asyncio.run(_ask(socket, method, url, timeout_seconds))
    except TimeoutError:
        raise UnavailableError(f"{socket}: no answer within {timeout_seconds:g} s") from None
    except aiohttp.ClientConnectorError as error:
        raise _not_reached(socket, error.os_error) from None
    except (aiohttp.ClientError, ValueError) as error:
        raise UnavailableError(f"{socket}: no answer that can be read: {error}") from None


async def _ask(socket: Path, method: str, url: URL, timeout_seconds: float) -> Answer:
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    connector = aiohttp.UnixConnector(path=str(socket))
    async with (
        aiohttp.ClientSession(connector=connector, timeout=timeout) as session,
        session.request(method, url, allow_redirects=False) as response,
    ):
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > _ANSWER_BYTES_MAX:
                raise ValueError("it is too long")
        document = json.loads(body)
    if not isinstance(document, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - of the peer, not of a caller
    return Answer(response.status, document)


def _not_reached(socket: Path, error: OSError) -> Exception:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError | NotADirectoryError):
        return NotRunningError(f"nothing runs here: nobody listens on {socket}")
    if isinstance(error, PermissionError):
        return PermissionError(error.errno, "no permission for the control socket", str(socket))
    return UnavailableError(f"{socket}: {error.strerror or error}")
