"""TLS as `openssl s_client` sees it: which certificate, which chain, which staple, which versions.

The program is the system's own OpenSSL, another one than the edge's.
"""

from dataclasses import dataclass

import pytest

from edgeproxy.tls.handshakes import Handshake
from edgeproxy.tls.identity import load_identity
from tests.support.ca import LocalCa
from tests.support.pop import scripted_origin, serving
from tests.support.s_client import SIGNATURES, request_for, s_client, shown, stapled_serial
from tests.support.staples import staple_for

KINDS = SIGNATURES

TEXT = """
config_version = 1

[listen]
https = "127.0.0.1:0"

[tls]
certs_dir = "certs"
unknown_sni = "reject"
{tls}

[origin.assets]
urls = ["{url}"]
host = "origin.test"
tls = {{ ca_file = "{ca}" }}

[[host]]
name = "a.test"
origin = "assets"

[[host]]
name = "b.test"
origin = "assets"

[log]
level = "warning"
access = {{ enabled = false }}
"""


@dataclass(frozen=True)
class Site:
    """A running PoP, and the leaves of its sites: `a.test` has both kinds, `b.test` one."""

    pop: object
    ca: LocalCa
    authorities: dict[str, LocalCa]

    async def openssl(self, *flags: str, name: str | None = "a.test", asks: bytes = b"") -> str:
        """Run s_client; it asks for `asks` and waits for the end, or says goodbye at once."""
        ca_file = self.ca.path
        return await s_client(self.pop.port, ca_file, *flags, name=name, asks=asks)

    def request(self, host: str) -> bytes:
        return request_for(host, f"/{host}")

    def identity(self, name: str):
        [found] = [each for each in self.pop.worker._front.identities if each.name == name]
        return found


def site_of(tls: str = ""):
    @pytest.fixture
    async def make(tmp_path):
        root = LocalCa(tmp_path / "ca")
        authorities = {kind: root.intermediate(f"{kind} intermediate") for kind in KINDS}
        place = tmp_path / "certs" / "a.test"
        for kind, authority in authorities.items():
            leaf = authority.issue("a.test", key=kind, directory=place / kind)
            suffix = "" if kind == "ecdsa" else "-rsa"
            leaf.chain_path.rename(place / f"fullchain{suffix}.pem")
            leaf.key_path.rename(place / f"key{suffix}.pem")
        authorities["ecdsa"].issue("b.test", directory=tmp_path / "certs" / "b.test")
        async with scripted_origin(root) as origin:
            for name in ("a.test", "b.test"):
                origin.on("GET", f"/{name}").reply(200, f"this is {name}".encode())
            text = TEXT.format(url=origin.url, ca=root.path, tls=tls)
            async with serving(text, tmp_path, origin, root.path) as pop:
                yield Site(pop, root, authorities)

    return make


site = site_of()
site_without_tickets = site_of('ticket_lifetime = "0s"')
site_of_another_kind = site_of('no_sni = "default"\ngroups = ["P-384"]\nticket_lifetime = "5m"')


@pytest.mark.parametrize("kind", KINDS)
async def test_the_signatures_that_a_client_takes_choose_certificate_and_chain(site: Site, kind):
    output = await site.openssl("-tls1_3", "-sigalgs", KINDS[kind], "-verify_hostname", "a.test")
    [credential] = [each for each in site.identity("a.test").credentials if each.kind == kind]
    assert shown(output) == credential.chain
    assert credential.chain[1] == site.authorities[kind].certificate
    assert "Verify return code: 0 (ok)" in output


async def test_a_client_that_takes_both_gets_ecdsa(site: Site):
    output = await site.openssl()
    assert shown(output) == site.identity("a.test").credentials[0].chain
    assert "New, TLSv1.3" in output


async def test_the_name_chooses_the_site(site: Site):
    output = await site.openssl("-verify_hostname", "b.test", name="b.test")
    assert shown(output) == site.identity("b.test").credentials[0].chain


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_1"])
async def test_older_versions_are_refused(site: Site, version):
    output = await site.openssl(version, "-cipher", "ALL:@SECLEVEL=0")
    assert "alert protocol version" in output
    assert not shown(output)
    assert site.pop.counters.handshakes == {Handshake("unsupported_version"): 1}


@pytest.mark.parametrize(
    ("name", "alert"), [("c.test", "unrecognized name"), (None, "missing extension")]
)
async def test_who_asks_for_nobody_here_is_told(site: Site, name, alert):
    output = await site.openssl(name=name)
    assert f"alert {alert}" in output or f"alert number {109 if name is None else 112}" in output
    assert not shown(output)


@pytest.mark.parametrize("group", ["P-256", "X25519"])
async def test_groups_are_offered_and_counted(site: Site, group):
    await site.openssl("-groups", group, asks=site.request("a.test"))
    assert site.pop.counters.handshakes == {Handshake("completed", "full", group, "ecdsa"): 1}


async def test_what_the_configuration_says_is_done(site_of_another_kind: Site):
    site = site_of_another_kind
    nameless = await site.openssl(name=None, asks=site.request("a.test"))
    assert shown(nameless) == site.identity("a.test").credentials[0].chain
    assert "ticket lifetime hint: 300 (seconds)" in nameless
    assert "alert handshake failure" in await site.openssl("-groups", "P-256")
    assert site.pop.counters.handshakes == {
        Handshake("completed", "full", "P-384", "ecdsa"): 1,
        Handshake("no_common_group"): 1,
    }


# --- stapling -------------------------------------------------------------------------------------


def staple(site: Site) -> None:
    identity = site.identity("a.test")
    staples = {
        each.fingerprint: staple_for(each.leaf, site.authorities[each.kind])
        for each in identity.credentials
    }
    front = site.pop.worker._front
    front.replace([identity.with_staples(staples), site.identity("b.test")])


@pytest.mark.parametrize("kind", KINDS)
async def test_a_staple_is_that_of_the_certificate(site: Site, kind):
    staple(site)
    output = await site.openssl("-status", "-sigalgs", KINDS[kind])
    [credential] = [each for each in site.identity("a.test").credentials if each.kind == kind]
    assert "OCSP Response Status: successful" in output
    assert "Cert Status: good" in output
    assert stapled_serial(output) == credential.leaf.serial_number


async def test_without_being_asked_nothing_is_stapled(site: Site):
    staple(site)
    assert "OCSP" not in await site.openssl()


async def test_without_a_staple_there_is_none(site: Site):
    assert "OCSP response: no response sent" in await site.openssl("-status")


# --- sessions -------------------------------------------------------------------------------------


async def test_a_session_is_resumed_and_also_over_a_rotation(site: Site, tmp_path):
    session = str(tmp_path / "session")
    request = site.request("a.test")
    first = await site.openssl("-sess_out", session, asks=request)
    second = await site.openssl("-sess_in", session, "-sess_out", session, asks=request)
    leaf = site.authorities["ecdsa"].issue("a.test")
    rotated = load_identity([leaf.files], name="a.test")
    site.pop.worker._front.replace([rotated, site.identity("b.test")])
    third = await site.openssl("-sess_in", session, asks=request)
    assert ["Reused, TLSv1.3" in each for each in (first, second, third)] == [False, True, True]
    assert all("this is a.test" in each for each in (first, second, third))
    assert "Max Early Data: 0" in first
    assert site.pop.counters.handshakes == {
        Handshake("completed", "full", "X25519", "ecdsa"): 1,
        Handshake("completed", "resumed", "X25519"): 2,
    }


async def test_a_session_of_one_site_opens_no_other(site: Site, tmp_path):
    # Whether to resume under another name is the client's to decide (RFC 8446 section 4.6.1).
    session = str(tmp_path / "session")
    await site.openssl("-sess_out", session, asks=site.request("a.test"))
    own = await site.openssl("-sess_in", session, name="b.test", asks=site.request("b.test"))
    assert "this is b.test" in own
    other = await site.openssl("-sess_in", session, name="b.test", asks=site.request("a.test"))
    assert "HTTP/1.1 421 " in other
    assert "this is a.test" not in other


async def test_without_tickets_no_session_is_resumed(site_without_tickets: Site, tmp_path):
    site = site_without_tickets
    session = str(tmp_path / "session")
    request = site.request("a.test")
    await site.openssl("-sess_out", session, asks=request)
    again = await site.openssl("-sess_in", session, asks=request)
    assert "New, TLSv1.3" in again
    assert "this is a.test" in again
