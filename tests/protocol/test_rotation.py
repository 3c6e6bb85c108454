"""Certificates that change under a running `edgeproxy serve`: files on disk, openssl, operators."""

import asyncio
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.hashes import SHA256

from edgeproxy.tls.ocsp import schedule
from tests.support.ca import Leaf, key_pem, new_key
from tests.support.privileges import without_reading_everything
from tests.support.s_client import alert, shown, stapled, stapled_serial
from tests.support.tls_sites import SeenEdge, TlsSites, tls_sites

KEPT = "a.test: the old certificate is kept: "
REPLACED = "a.test: certificate replaced"
UNRECOGNIZED_NAME = 112  # RFC 8446 section 6


@pytest.fixture
async def sites(tmp_path):
    async with tls_sites(tmp_path) as sites:
        yield sites


async def serves(edge: SeenEdge, leaf: Leaf, name: str = "a.test") -> None:
    """See that new connections get that leaf, with its own staple if it has one."""
    output = await edge.s_client("-status", name=name)
    assert shown(output) == leaf.chain
    assert "Verify return code: 0 (ok)" in output
    if stapled(output) is not None:
        assert stapled_serial(output) == leaf.certificate.serial_number


# --- what cannot be used --------------------------------------------------------------------------


def put(path: Path, data: bytes) -> None:
    """Replace a file in one step, as renewal does."""
    fresh = path.with_name(f".{path.name}")
    fresh.write_bytes(data)
    fresh.replace(path)


def another_key(folder: Path) -> None:
    put(folder / "key.pem", key_pem(new_key()))


def half_a_chain(folder: Path) -> None:
    whole = (folder / "fullchain.pem").read_bytes()
    put(folder / "fullchain.pem", whole[: len(whole) // 3])


def nothing_at_all(folder: Path) -> None:
    put(folder / "fullchain.pem", b"")


def no_folder(folder: Path) -> None:
    folder.rename(folder.parent.parent / "gone")


def closed_folder(folder: Path) -> None:
    folder.chmod(0)


def closed_folder_of_all(folder: Path) -> None:
    folder.parent.chmod(0)


def a_link_to_itself(folder: Path) -> None:
    (folder / "key.pem").unlink()
    (folder / "key.pem").symlink_to("key.pem")


HARMS = {
    another_key: "key.pem",
    half_a_chain: "fullchain.pem",
    nothing_at_all: "fullchain.pem",
    no_folder: "no such file",
    closed_folder: "not readable by this user",
    closed_folder_of_all: "not readable by this user",
    a_link_to_itself: "cannot be read",
}


@pytest.mark.parametrize("harm", HARMS)
async def test_what_cannot_be_used_changes_nothing_and_is_said_once(
    sites: TlsSites, harm: Callable[[Path], None]
):
    first = sites.issue("a.test")
    folder = sites.folder_of("a.test")
    async with sites.process(prefix=without_reading_everything()) as edge:
        await serves(edge, first)
        harm(folder)
        await edge.process.says(KEPT)
        await serves(edge, first)
        edge.process.hang_up()
        await edge.process.says("told to reload")
        assert (await edge.command("/v1/certificates/reload"))[0] == 200
        assert await edge.loads() == {"loaded": 1, "failed": 1}
        told = (await edge.certificates())["a.test"]
        assert told["last_load"]["result"] == "failed"
        assert HARMS[harm] in told["last_load"]["detail"]
        assert told["credentials"][0]["sha256"] == first.certificate.fingerprint(SHA256()).hex()
        await serves(edge, first)

        for each in (folder.parent, folder):
            if each.exists():
                each.chmod(0o755)
        second = sites.issue("a.test")
        await edge.process.says(REPLACED)
        await serves(edge, second)
        assert edge.process.said.count(KEPT) == 1
        assert (await edge.metrics())["edge_certificate_swaps_total{identity=a.test}"] == 1


async def test_a_site_is_renewed_while_another_s_files_are_broken(sites: TlsSites):
    first = sites.issue("a.test")
    sites.issue("b.test")
    async with sites.process() as edge:
        another_key(sites.folder_of("a.test"))
        await edge.process.says(KEPT)
        renewed = sites.issue("b.test")
        await edge.process.says("b.test: certificate replaced")
        await serves(edge, renewed, "b.test")
        await serves(edge, first)


# --- how renewal comes ----------------------------------------------------------------------------


async def test_a_renewal_takes_over_with_its_staple_and_is_told_once(sites: TlsSites):
    sites.issue("a.test")
    async with sites.process() as edge:
        for kind in ("rsa", "ecdsa"):
            renewed = sites.issue("a.test", kind=kind)
            edge.process.hang_up()
            await edge.process.says(REPLACED)
            await serves(edge, renewed)
            assert stapled(await edge.s_client("-status")) == "good"
        assert edge.process.said.count(REPLACED) == 2
        assert await edge.loads() == {"loaded": 3}
        assert (await edge.metrics())["edge_certificate_swaps_total{identity=a.test}"] == 2


def kubernetes(sites: TlsSites, number: int, leaf: Leaf) -> None:
    """Write a volume's files as a kubelet does: a folder with a new name, one link swapped."""
    folder = sites.folder_of("a.test")
    place = folder / f"..2026_{number}"
    place.mkdir(parents=True)
    for path in (leaf.chain_path, leaf.key_path):
        (place / path.name).write_bytes(path.read_bytes())
        if not (folder / path.name).is_symlink():
            (folder / path.name).symlink_to(f"..data/{path.name}")
    (folder / "..data_tmp").symlink_to(place.name)
    (folder / "..data_tmp").rename(folder / "..data")


async def test_the_link_that_kubernetes_swaps_is_followed(sites: TlsSites):
    sites.hosts["a.test"] = ""
    leaves = [sites.ca.issue("a.test", ocsp_url=sites.responder.url) for _ in range(3)]
    kubernetes(sites, 0, leaves[0])
    async with sites.process() as edge:
        await serves(edge, leaves[0])
        for number, leaf in enumerate(leaves[1:], 1):
            kubernetes(sites, number, leaf)
            await edge.process.says(REPLACED)
            await serves(edge, leaf)
        assert await edge.loads() == {"loaded": 3}


def certbot(sites: TlsSites, number: int, leaf: Leaf) -> None:
    """Write an archive's files as certbot does, and turn the links of `live` one after another."""
    live, archive = (sites.folder / each / "a.test" for each in ("live", "archive"))
    for folder in (live, archive):
        folder.mkdir(parents=True, exist_ok=True)
    for path, name in ((leaf.key_path, "privkey"), (leaf.chain_path, "fullchain")):
        (archive / f"{name}{number}.pem").write_bytes(path.read_bytes())
    for name in ("privkey", "fullchain"):
        (live / f"{name}.pem").unlink(missing_ok=True)
        (live / f"{name}.pem").symlink_to(os.path.relpath(archive / f"{name}{number}.pem", live))


async def test_the_links_that_certbot_turns_are_followed(sites: TlsSites):
    sites.folder_of("").mkdir()
    sites.hosts["a.test"] = (
        'cert = { chain = "live/a.test/fullchain.pem", key = "live/a.test/privkey.pem" }'
    )
    leaves = [sites.ca.issue("a.test", ocsp_url=sites.responder.url) for _ in range(3)]
    certbot(sites, 1, leaves[0])
    async with sites.process() as edge:
        await serves(edge, leaves[0])
        for number, leaf in enumerate(leaves[1:], 2):
            certbot(sites, number, leaf)
            await edge.process.says(REPLACED)
            await serves(edge, leaf)


async def test_an_operator_goes_back(sites: TlsSites):
    first = sites.issue("a.test")
    async with sites.process() as edge:
        second = sites.issue("a.test")
        await edge.process.says(REPLACED)
        await serves(edge, second)
        status, told = await edge.command("/v1/certificates/a.test/revert")
        assert (status, told["last_load"]["result"]) == (200, "reverted")
        await serves(edge, first)
        assert (await edge.command("/v1/certificates/reload"))[0] == 200
        await serves(edge, first)
        assert await edge.loads() == {"loaded": 2, "reverted": 1}


# --- sessions -------------------------------------------------------------------------------------


async def test_sessions_are_resumed_also_after_the_files_have_changed(sites: TlsSites, tmp_path):
    sites.issue("a.test")
    session = str(tmp_path / "session")
    async with sites.process() as edge:
        outputs = [await edge.request("a.test", "-sess_out", session)]
        outputs.append(await edge.request("a.test", "-sess_in", session, "-sess_out", session))
        renewed = sites.issue("a.test", kind="rsa")
        await edge.process.says(REPLACED)
        outputs.append(await edge.request("a.test", "-sess_in", session))
        await serves(edge, renewed)
    assert ["Reused, TLSv1.3" in each for each in outputs] == [False, True, True]
    assert all("HTTP/1.1 200" in each for each in outputs)


# --- staples that are missing or at their end -----------------------------------------------------


async def test_what_must_be_stapled_is_refused_without_a_staple_and_others_served(sites: TlsSites):
    sites.issue("a.test", must_staple=True)
    other = sites.issue("b.test", asks=False)
    sites.responder.mode = "try_later"
    async with sites.process() as edge:
        assert "a.test: it must be stapled, and there is no staple" in edge.process.said
        assert alert(await edge.s_client("-status")) == UNRECOGNIZED_NAME
        await serves(edge, other, "b.test")
        assert (await edge.metrics())["edge_identity_withheld{identity=a.test}"] == 1
        assert (await edge.certificates())["a.test"]["is_withheld"] is True

        sites.responder.mode = "good"
        renewed = sites.issue("a.test", must_staple=True)
        await edge.process.says(REPLACED)
        await serves(edge, renewed)
        assert stapled(await edge.s_client("-status")) == "good"
        assert (await edge.metrics())["edge_identity_withheld{identity=a.test}"] == 0


async def test_it_is_served_as_soon_as_the_responder_answers(sites: TlsSites, monkeypatch, caplog):
    monkeypatch.setattr(schedule, "DELAY_SECONDS_MIN", 0.05)
    leaf = sites.issue("a.test", must_staple=True)
    sites.responder.mode = "try_later"
    async with sites.in_process() as edge:
        assert alert(await edge.s_client("-status")) == UNRECOGNIZED_NAME
        sites.responder.mode = "good"
        async with asyncio.timeout(20):
            while (await edge.certificates())["a.test"]["is_withheld"]:
                pass
        await serves(edge, leaf)
        assert stapled(await edge.s_client("-status")) == "good"


async def test_a_staple_whose_time_is_over_is_dropped(sites: TlsSites):
    answers = sites.responder.answers
    answers.age, answers.lifetime = timedelta(seconds=4), timedelta(seconds=8)
    leaf = sites.issue("a.test")
    async with sites.process() as edge:
        assert await edge.fetches() == {"good": 1}
        await edge.process.says(r"a\.test: the staple from .* has expired \(good\)")
        assert stapled(await edge.s_client("-status")) is None
        await serves(edge, leaf)
        numbers = await edge.metrics()
        assert not any("edge_staple_next_update" in series for series in numbers)
