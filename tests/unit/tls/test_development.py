"""Tests for edgeproxy/tls/development.py."""

import asyncio
import ssl
import stat

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL

from edgeproxy.errors import CertificateError
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.development import check_name, issue_both, issue_leaf, make_ca
from edgeproxy.tls.identity import load_identity
from edgeproxy.tls.material import read_chain, read_key
from tests.support.ca import LocalCa, certificate_pem, key_pem, new_key, now
from tests.support.handshake import client_context, connected

DAY = 86400


def leaf_identity(ca, directory, *names, **chosen):
    leaf = issue_leaf(ca, directory, names, **chosen) if names else issue_leaf(ca, directory)
    return load_identity([leaf.files])


def test_a_leaf_is_an_identity_that_its_authority_vouches_for(tmp_path):
    ca = make_ca(tmp_path / "ca")
    identity = leaf_identity(ca, tmp_path / "leaf")
    assert identity.names == ("localhost", "127.0.0.1", "::1")
    assert isinstance(identity.credentials[0].key.curve, ec.SECP256R1)
    connected(
        FrontContext([identity]).new_connection(), name="localhost", context=client_context(ca.path)
    )


async def test_a_browser_would_accept_it(tmp_path):
    ca = make_ca(tmp_path / "ca")
    leaf = issue_leaf(ca, tmp_path / "leaf", ["localhost", "*.demo.localhost", "127.0.0.1"])
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(leaf.chain_path, leaf.key_path)
    client = ssl.create_default_context(cafile=ca.path)
    client.verify_flags |= ssl.VERIFY_X509_STRICT
    server = await asyncio.start_server(
        lambda _reader, writer: writer.close(), "127.0.0.1", 0, ssl=server_context
    )
    async with server:
        port = server.sockets[0].getsockname()[1]
        for name in ("localhost", "a.demo.localhost", "127.0.0.1"):
            _, writer = await asyncio.open_connection(
                "127.0.0.1", port, ssl=client, server_hostname=name
            )
            writer.close()


def test_keys_are_private_and_nothing_else_is_left_behind(tmp_path):
    ca = make_ca(tmp_path)
    leaf = issue_leaf(ca, tmp_path)
    for key in (tmp_path / "ca-key.pem", leaf.key_path):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "ca-key.pem",
        "ca.pem",
        "fullchain.pem",
        "key.pem",
    ]


def test_the_authority_is_constrained_critically(tmp_path):
    certificate = make_ca(tmp_path).certificate
    constraints = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    permitted = {str(each.value) for each in constraints.value.permitted_subtrees}
    assert permitted == {"localhost", "127.0.0.0/8", "::1/128"}
    basic = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    assert (basic.value.ca, basic.value.path_length, basic.critical) == (True, 0, True)


def test_a_stolen_authority_cannot_vouch_for_other_names(tmp_path):
    ca = make_ca(tmp_path / "ca")
    forger = LocalCa(tmp_path / "forger")
    forger.certificate, forger.key = ca.certificate, ca.key
    leaf = forger.issue("bank.example", directory=tmp_path / "forged")
    front = FrontContext([load_identity([leaf.files])])
    with pytest.raises(SSL.Error):
        connected(front.new_connection(), context=client_context(ca.path))


@pytest.mark.parametrize("name", ["bank.example", "localhost.evil", "10.0.0.1", "2001:db8::1", ""])
def test_it_does_not_issue_for_other_names(tmp_path, name):
    with pytest.raises(CertificateError, match="loopback only"):
        issue_leaf(make_ca(tmp_path), tmp_path, ["localhost", name])


def test_files_are_reused_while_they_are_good(tmp_path):
    ca = make_ca(tmp_path)
    assert make_ca(tmp_path).certificate == ca.certificate
    before = leaf_identity(ca, tmp_path).fingerprints
    assert leaf_identity(ca, tmp_path, "127.0.0.1", "::1", "localhost").fingerprints == before


def test_a_leaf_is_issued_again_in_its_last_week(tmp_path):
    ca = make_ca(tmp_path)
    start = now().timestamp()
    issued = leaf_identity(ca, tmp_path, "localhost").credentials[0].leaf
    issue_leaf(ca, tmp_path, ["localhost"], now=start + 82 * DAY)
    assert leaf_identity(ca, tmp_path, "localhost").credentials[0].leaf == issued
    issue_leaf(ca, tmp_path, ["localhost"], now=start + 84 * DAY)
    later = x509.load_pem_x509_certificate((tmp_path / "fullchain.pem").read_bytes())
    assert later != issued


def test_a_leaf_is_issued_again_for_other_names_or_by_another_authority(tmp_path):
    ca = make_ca(tmp_path / "ca")
    first = leaf_identity(ca, tmp_path, "localhost").fingerprints
    second = leaf_identity(ca, tmp_path, "a.localhost").fingerprints
    third = leaf_identity(make_ca(tmp_path / "other"), tmp_path, "a.localhost").fingerprints
    assert len({first, second, third}) == 3


def damage_key(directory):
    (directory / "key.pem").write_text("junk")


def replace_key(directory):
    (directory / "key.pem").write_bytes(key_pem(new_key()))


def rsa_key(directory):
    (directory / "key.pem").write_bytes(key_pem(new_key("rsa")))


def remove_chain(directory):
    (directory / "fullchain.pem").unlink()


@pytest.mark.parametrize("harm", [damage_key, replace_key, rsa_key, remove_chain])
def test_damaged_files_are_replaced(tmp_path, harm):
    ca = make_ca(tmp_path / "ca")
    leaf_identity(ca, tmp_path)
    harm(tmp_path)
    assert leaf_identity(ca, tmp_path).covers("localhost")


def test_a_damaged_or_old_authority_is_replaced(tmp_path):
    ca = make_ca(tmp_path)
    old = make_ca(tmp_path, now=now().timestamp() + 900 * DAY)
    assert old.certificate != ca.certificate
    (tmp_path / "ca-key.pem").write_bytes(key_pem(new_key("rsa")))
    assert make_ca(tmp_path).certificate not in {ca.certificate, old.certificate}
    (tmp_path / "ca.pem").write_bytes(certificate_pem(ca.certificate))
    assert make_ca(tmp_path).certificate != ca.certificate


def test_a_failed_write_leaves_no_debris(tmp_path):
    (tmp_path / "key.pem").mkdir()
    with pytest.raises(IsADirectoryError):
        issue_leaf(make_ca(tmp_path), tmp_path)
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_both_types_of_key_in_the_layout_of_a_folder_of_certificates(tmp_path):
    ca = make_ca(tmp_path)
    first, second = issue_both(ca, tmp_path / "localhost")
    assert (first.chain_path.name, first.key_path.name) == ("fullchain.pem", "key.pem")
    assert (second.chain_path.name, second.key_path.name) == ("fullchain-rsa.pem", "key-rsa.pem")
    key = read_key(second.key_path)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert key.key_size == 2048
    assert read_chain(tmp_path / "localhost" / "issuer.pem") == (ca.certificate,)
    again = issue_both(ca, tmp_path / "localhost")
    assert read_chain(again[1].chain_path) == read_chain(second.chain_path)


def test_a_second_type_that_is_not_asked_for_any_more_is_removed(tmp_path):
    ca = make_ca(tmp_path)
    issue_both(ca, tmp_path / "a")
    [only] = issue_both(ca, tmp_path / "a", key_types=("rsa",))
    assert isinstance(read_key(only.key_path), rsa.RSAPrivateKey)
    assert {path.name for path in (tmp_path / "a").iterdir()} == {
        *("fullchain.pem", "key.pem", "issuer.pem")
    }


@pytest.mark.parametrize(
    "name", ["localhost", "*.A.localhost", "x_y.localhost", "127.9.9.9", "::1"]
)
def test_names_of_this_machine(name):
    check_name(name)


@pytest.mark.parametrize("name", ["../a.localhost", "a/b.localhost", "::1%a/../b", ".localhost"])
def test_names_that_are_no_names(name):
    with pytest.raises(CertificateError, match="loopback only"):
        check_name(name)
