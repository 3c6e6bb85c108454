"""A PoP as TLS scanners meet it: a private authority, ECDSA and RSA, a responder that says good.

async with scanned(tmp_path) as place:
    place.port, place.ca_file
"""

import shutil
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.ca import LocalCa
from tests.support.ocsp_answers import OcspAnswers
from tests.support.ocsp_responder import OcspResponder
from tests.support.pop import ENTRY, Place, scripted_origin
from tests.support.served import served

NAME = "localhost"
COMPRESSED_PATH = "/page"
_PAGE = b"<!doctype html><title>A page</title>"
_DAYS = 90  # what public authorities give: scanners warn of certificates that end within 60


@dataclass(frozen=True)
class Scanned:
    """Where it is, and whom to trust."""

    port: int
    ca_file: Path


@asynccontextmanager
async def scanned(folder: Path):
    """Run `edgeproxy serve` with two certificates of one name below an intermediate authority."""
    root = LocalCa(folder / "ca")
    ca = root.intermediate()
    live = folder / "certs" / NAME
    live.mkdir(parents=True)
    async with (
        OcspResponder(OcspAnswers(ca, ca.ocsp_signer())) as responder,
        scripted_origin(root) as origin,
    ):
        origin.on("GET", "/").reply(200, _PAGE, content_type="text/html; charset=utf-8")
        origin.on("GET", COMPRESSED_PATH).reply(
            200, _PAGE + b"<p>more of it" * 500, content_type="text/html; charset=utf-8"
        )
        for kind in ("ecdsa", "rsa"):
            leaf = ca.issue(NAME, key=kind, days=_DAYS, ocsp_url=responder.url)
            shutil.copy(leaf.chain_path, live / f"fullchain-{kind}.pem")
            shutil.copy(leaf.key_path, live / f"key-{kind}.pem")
        text = Place(folder, root, leaf).text(
            origin.url, rules=ENTRY, host='hsts = { max_age = "1y" }'
        )
        named = f'cert = {{ chain = "{leaf.chain_path}", key = "{leaf.key_path}" }}\n'
        assert named in text
        text = text.replace(named, "").replace("[limits]", '[tls]\ncerts_dir = "certs"\n\n[limits]')
        config = folder / "edge.toml"
        config.write_text(text.replace('"warning"', '"info"'))
        async with served(config) as edge:
            yield Scanned(edge.port, root.path)
            edge.terminate()
            await edge.ended()
