"""Applications whose every answer is whole: errors as problem documents (RFC 9457).

Knows no route. An answer ends its connection (see `server`), is not to be stored, and says nothing
about the software that wrote it. A handler that fails is our fault: it is logged here, and the
client is told no more than that. What is no HTTP at all never gets here: aiohttp refuses it.
"""

import asyncio
import json
import logging
from collections.abc import Iterable
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

log = logging.getLogger(__name__)

# No command here needs content; who sends some anyway may, up to so much.
CONTENT_BYTES_MAX = 4096


def application(routes: Iterable[web.AbstractRouteDef], *, seconds_max: float) -> web.Application:
    """Return an application of these routes whose handlers have so much time each."""

    @web.middleware
    async def answer(request: web.Request, handler: Handler) -> web.StreamResponse:
        response = await _answered(request, handler, seconds_max)
        response.headers["Cache-Control"] = "no-store"
        response.headers["X-Content-Type-Options"] = "nosniff"
        response.force_close()
        return response

    made = web.Application(middlewares=[answer], client_max_size=CONTENT_BYTES_MAX)
    made.on_response_prepare.append(_without_advertisement)
    made.add_routes(routes)
    return made


def problem(status: int, detail: str = "", **members: object) -> web.Response:
    """Return a problem document; its type is "about:blank", for which the status says it all.

    `members` extend it (RFC 9457 section 3.2).
    """
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        **members,
    }
    if detail:
        document["detail"] = detail
    return web.Response(
        status=status, text=json.dumps(document) + "\n", content_type="application/problem+json"
    )


def document(value: object) -> web.Response:
    """Return a JSON document."""
    return web.Response(text=json.dumps(value, indent=2) + "\n", content_type="application/json")


async def _answered(
    request: web.Request, handler: Handler, seconds_max: float
) -> web.StreamResponse:
    try:
        async with asyncio.timeout(seconds_max):
            await _read(request)
            return await handler(request)
    except web.HTTPException as error:
        response = problem(error.status)
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except TimeoutError:
        return problem(503, f"not done within {seconds_max:g} seconds")
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return problem(500)


async def _read(request: web.Request) -> None:
    try:
        await request.read()
    except (ConnectionError, web.RequestPayloadError):  # broken off, or no chunks
        raise web.HTTPBadRequest from None


async def _without_advertisement(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.popall("Server", None)
