"""What a listener needs of the thing that answers.

The contract between `listeners/` and `edge/`, which never meet: `runtime/worker.py` joins them.
"""

from typing import Protocol

from edgeproxy.http.messages import Request, Response


class Application(Protocol):
    """Answers requests, and hears how each answer ended."""

    def hit(self, request: Request, now: float) -> Response | None:
        """Answer at once from memory, or return None: then `handle` must be called.

        Never blocks, never raises.
        """

    async def handle(self, request: Request) -> Response:
        """Answer anything.

        Never raises, except CancelledError when the listener cancels: the client went away.
        """

    def completed(
        self, request: Request, response: Response, body_bytes: int, *, is_whole: bool
    ) -> None:
        """Hear that an exchange ended: counters and the access log.

        `body_bytes` were handed to the transport; called once for every response.
        """
