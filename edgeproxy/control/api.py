"""The control API: what a running PoP tells and does for `edgeproxy certs` and `edgeproxy status`.

    GET  /v1/status
    POST /v1/reload
    GET  /v1/certificates
    POST /v1/certificates/reload
    POST /v1/certificates/NAME/revert

JSON over HTTP, errors as problem documents (RFC 9457). It asks nobody who they are: only the
control socket (`socket_file`) may serve it, whose peers are known. Changes are made one after
another.
"""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from edgeproxy.control.certificates import CertificateControl, Document, Reverted
from edgeproxy.control.problems import application, document, problem
from edgeproxy.control.reloading import Reload, Reloaded, document_of
from edgeproxy.control.server import SmallServer
from edgeproxy.control.socket_file import is_ours

CONNECTIONS_MAX = 16
"""Ours: one operator and some scripts."""
SECONDS_MAX = 30.0
"""Ours: loading many certificates proves each by a handshake, some milliseconds."""

# A client hears what became of a command before its connection is cut.
_MARGIN_SECONDS = 5.0


def control_server(
    certificates: CertificateControl,
    status: Callable[[], Awaitable[Document]],
    reload: Reload,
) -> SmallServer:
    """Return the server for a control socket."""
    return SmallServer(
        control_application(certificates, status, reload),
        connections_max=CONNECTIONS_MAX,
        seconds_max=SECONDS_MAX + _MARGIN_SECONDS,
        admits=is_ours,
    )


def control_application(
    certificates: CertificateControl,
    status: Callable[[], Awaitable[Document]],
    reload: Reload,
) -> web.Application:
    """Return the application; `status` describes the PoP as a whole."""
    one_at_a_time = asyncio.Lock()

    async def show_status(_request: web.Request) -> web.Response:
        return document(await status())

    async def show_certificates(_request: web.Request) -> web.Response:
        return document(certificates.status())

    async def reload_all(_request: web.Request) -> web.Response:
        async with one_at_a_time:
            outcome = await reload()
        if isinstance(outcome, Reloaded):
            warnings = [document_of(each) for each in outcome.warnings]
            return document(
                {"result": "reloaded", "changed": list(outcome.changed), "warnings": warnings}
            )
        return problem(
            422,
            "the configuration cannot be used, nothing has changed",
            result="refused",
            problems=[document_of(each) for each in outcome.problems],
        )

    async def reload_certificates(_request: web.Request) -> web.Response:
        async with one_at_a_time:
            return document(await certificates.reload())

    async def revert(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        async with one_at_a_time:
            outcome = await certificates.revert(name)
        if isinstance(outcome, Reverted):
            return document(outcome.live)
        if outcome.reason == "unknown-name":
            return problem(404, f"there is no identity {name!r}")
        return problem(409, f"nothing is kept that {name!r} could go back to")

    return application(
        [
            web.get("/v1/status", show_status),
            web.post("/v1/reload", reload_all),
            web.get("/v1/certificates", show_certificates),
            web.post("/v1/certificates/reload", reload_certificates),
            web.post("/v1/certificates/{name}/revert", revert),
        ],
        seconds_max=SECONDS_MAX,
    )
