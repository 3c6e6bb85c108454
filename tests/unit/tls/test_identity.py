"""Tests for edgeproxy/tls/identity.py."""

import os
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from edgeproxy.errors import CertificateError
from edgeproxy.tls.identity import (
    IdentitySource,
    KeyPairFiles,
    check_covers,
    load_identity,
    uncovered,
)
from edgeproxy.tls.ocsp.staple import Staple
from tests.support.ca import LocalCa, certificate_pem, key_pem, new_key, now


@pytest.fixture
def ca(tmp_path):
    return LocalCa(tmp_path / "ca")


def loaded(*leaves, **chosen):
    return load_identity([leaf.files for leaf in leaves], **chosen)


def both_kinds(ca, *names):
    return [ca.intermediate(kind).issue(*names, key=kind) for kind in ("ecdsa", "rsa")]


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_an_identity_of_one_credential(ca, kind):
    leaf = ca.intermediate().issue("a.test", "*.b.test", key=kind)
    identity = loaded(leaf, name="first")
    [credential] = identity.credentials
    assert identity.name == "first"
    assert identity.names == ("a.test", "*.b.test")
    assert identity.advice == ()
    assert (credential.chain, credential.kind, credential.staple) == (leaf.chain, kind, None)
    assert identity.fingerprints == (credential.fingerprint,)
    assert identity.not_before < now() < identity.not_after


def test_an_identity_of_both_kinds_has_ecdsa_first(ca):
    ecdsa, rsa = both_kinds(ca, "a.test", "b.test")
    for leaves in ((ecdsa, rsa), (rsa, ecdsa)):
        identity = loaded(*leaves)
        assert [each.kind for each in identity.credentials] == ["ecdsa", "rsa"]
        assert [each.chain for each in identity.credentials] == [ecdsa.chain, rsa.chain]


def test_it_expires_with_the_first_of_its_credentials(ca):
    long, short = ca.issue("a.test"), ca.issue("a.test", key="rsa", days=5, starts_in_days=-0.5)
    identity = loaded(long, short)
    assert identity.not_after == short.certificate.not_valid_after_utc
    assert identity.not_before == short.certificate.not_valid_before_utc


def test_the_order_of_names_is_the_leafs_own(ca):
    identity = loaded(ca.issue("a.test", "b.test"), ca.issue("b.test", "a.test", key="rsa"))
    assert identity.names == ("a.test", "b.test")


def test_two_of_one_kind(ca):
    one, other = ca.issue("a.test"), ca.issue("a.test")
    with pytest.raises(CertificateError) as fault:
        loaded(one, other)
    assert str(fault.value).startswith(f"{other.chain_path}: a second ECDSA certificate beside")


def test_credentials_for_different_names(ca):
    ecdsa, rsa = ca.issue("a.test", "b.test"), ca.issue("a.test", "c.test", key="rsa")
    with pytest.raises(CertificateError) as fault:
        loaded(rsa, ecdsa)
    assert str(fault.value).startswith(f"{rsa.chain_path}: names other hosts than ")
    assert str(fault.value).endswith("has b.test, c.test")


@pytest.mark.parametrize("at", [0, 1])
def test_the_pair_at_fault_is_named(ca, at):
    leaves = both_kinds(ca, "a.test")
    leaves[at].key_path.write_text("no key")
    with pytest.raises(CertificateError) as fault:
        loaded(*leaves)
    assert str(fault.value).startswith(f"{leaves[at].key_path}: ")


def test_without_files_there_is_no_identity():
    with pytest.raises(CertificateError, match="'a': no files"):
        load_identity([], name="a")


def test_staples_are_given_out_by_fingerprint(ca):
    bare = loaded(*both_kinds(ca, "a.test"))
    one, other = (Staple(der, 0.0, 1.0, 1.0) for der in (b"1", b"2"))
    first, second = bare.fingerprints
    stapled = bare.with_staples({first: one, "unknown": other})
    assert [each.staple for each in stapled.credentials] == [one, None]
    stapled = stapled.with_staples({second: other})
    assert [each.staple for each in stapled.credentials] == [one, other]
    stapled = stapled.with_staples({first: None})
    assert [each.staple for each in stapled.credentials] == [None, other]
    assert stapled.fingerprints == bare.fingerprints


# --- the issuer -----------------------------------------------------------------------------------


def test_the_issuer_is_in_the_chain(ca, tmp_path):
    leaf = ca.intermediate().issue("a.test")
    files = KeyPairFiles(leaf.chain_path, leaf.key_path, ca.path)  # of another leaf beside it
    assert load_identity([files]).credentials[0].issuer == leaf.chain[1]


def test_the_issuer_is_in_a_file_of_its_own(ca, tmp_path):
    leaf = ca.issue("a.test")
    assert loaded(leaf).credentials[0].issuer is None
    issuer = tmp_path / "issuer.pem"
    other = LocalCa(tmp_path / "other")
    issuer.write_bytes(certificate_pem(other.certificate) + certificate_pem(ca.certificate))
    files = KeyPairFiles(leaf.chain_path, leaf.key_path, issuer)
    credential = load_identity([files]).credentials[0]
    assert credential.issuer == ca.certificate
    assert credential.chain == leaf.chain


def test_an_issuer_that_did_not_issue_it(ca, tmp_path):
    leaf, impostor = ca.issue("a.test"), LocalCa(tmp_path / "other")  # of the same name
    with pytest.raises(CertificateError) as fault:
        load_identity([KeyPairFiles(leaf.chain_path, leaf.key_path, impostor.path)])
    assert str(fault.value).startswith(f"{impostor.path}: holds no certificate that issued ")


def self_signed(folder, *extensions):
    """Write a certificate that signed itself, with these extensions, and its key."""
    key = new_key()
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a.test")])
    builder = (
        x509.CertificateBuilder(subject, subject, key.public_key(), 1)
        .not_valid_before(now() - timedelta(days=1))
        .not_valid_after(now() + timedelta(days=1))
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    files = KeyPairFiles(folder / "chain", folder / "key")
    files.chain.write_bytes(certificate_pem(builder.sign(key, hashes.SHA256())))
    files.key.write_bytes(key_pem(key))
    files.key.chmod(0o600)
    return files


NAMES = x509.SubjectAlternativeName([x509.DNSName("a.test")])


def test_a_leaf_that_signed_itself(tmp_path):
    [credential] = load_identity([self_signed(tmp_path, NAMES)]).credentials
    assert credential.issuer is None


def test_a_certificate_that_nobody_understands(tmp_path):
    broken = x509.UnrecognizedExtension(x509.SubjectAlternativeName.oid, b"nonsense")
    files = self_signed(tmp_path, broken)
    with pytest.raises(CertificateError) as fault:
        load_identity([files])
    assert str(fault.value).startswith(f"{files.chain}: cannot be understood: ")


def test_a_certificate_for_something_else(tmp_path):
    mail = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
    files = self_signed(tmp_path, NAMES, mail)
    with pytest.raises(CertificateError, match=r"chain: .* is not for servers"):
        load_identity([files])


# --- permissions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_key_that_others_may_write(ca, mode):
    leaf = ca.issue("a.test")
    leaf.key_path.chmod(mode)
    with pytest.raises(CertificateError) as fault:
        loaded(leaf)
    assert str(fault.value).startswith(f"{leaf.key_path}: others than its owner may write it")


def test_a_key_that_everybody_may_read_is_worth_a_word(ca):
    leaf = ca.issue("a.test")
    for mode in (0o600, 0o400, 0o640):
        leaf.key_path.chmod(mode)
        assert loaded(leaf).advice == ()
    leaf.key_path.chmod(0o644)
    [advice] = loaded(leaf).advice
    assert advice.startswith(f"{leaf.key_path}: everybody on this machine may read it (mode 0644)")
    assert loaded(leaf).with_staples({}).advice == (advice,)


# --- files that change ----------------------------------------------------------------------------


def test_a_renewal_while_the_files_are_read(ca, tmp_path, monkeypatch):
    place = tmp_path / "site"
    old = ca.issue("a.test", directory=place)
    new = ca.issue("a.test", directory=tmp_path / "new")
    real = os.fstat
    reads = iter(range(100))

    def stat(descriptor):
        if next(reads) == 1:  # the chain has been read, the key is open
            new.chain_path.replace(old.chain_path)
            new.key_path.replace(old.key_path)
        return real(descriptor)

    monkeypatch.setattr("edgeproxy.tls.files.fstat", stat)
    assert loaded(old).credentials[0].leaf == new.certificate


@pytest.mark.parametrize("part", [0.3, 0.7, 0.95])
def test_a_chain_that_is_half_written(ca, part):
    leaf = ca.intermediate().issue("a.test")
    data = leaf.chain_path.read_bytes()
    leaf.chain_path.write_bytes(data[: int(len(data) * part)])
    with pytest.raises(CertificateError, match="holds no valid certificate"):
        loaded(leaf)


def test_it_is_called_like_its_directory(ca, tmp_path):
    assert loaded(ca.issue("a.test", directory=tmp_path / "widgets")).name == "widgets"


@pytest.mark.parametrize(
    ("host", "is_covered"),
    [
        ("a.test", True),
        ("b.test", False),
        ("x.b.test", True),
        ("x.y.b.test", False),
        (".b.test", False),
        ("*.b.test", True),
        ("xb.test", False),
        ("a.test.evil", False),
        ("127.0.0.1", True),
        ("127.0.0.2", False),
        ("::1", True),
        ("[::1]", True),
        ("0:0::1", True),
        ("::2", False),
        ("a:b", False),
        ("", False),
    ],
)
def test_which_hosts_it_covers(ca, host, is_covered):
    identity = loaded(ca.issue("a.test", "*.b.test", "127.0.0.1", "::1"))
    assert identity.covers(host) is is_covered


def test_hosts_that_nobody_covers(ca):
    identities = [loaded(ca.issue("a.test")), loaded(ca.issue("*.b.test"))]
    assert uncovered(["a.test", "c.test", "x.b.test", "d.test"], identities) == ["c.test", "d.test"]


def test_an_identity_that_would_leave_hosts_behind(ca):
    identity = loaded(ca.issue("a.test", "*.b.test"), name="new")
    check_covers(identity, ["a.test", "x.b.test"])
    with pytest.raises(CertificateError, match=r"identity 'new': does not cover c\.test, b\.test"):
        check_covers(identity, ["c.test", "a.test", "b.test"])


def test_a_source_of_named_files_stays_as_it_is():
    pairs = (KeyPairFiles(Path("chain"), Path("key")),)
    assert IdentitySource("a", pairs, ("a.test",)).pairs_now() == pairs


def test_a_source_with_a_folder_looks_again(ca, tmp_path):
    ca.issue("a.test", directory=tmp_path / "site")
    source = IdentitySource("a", (), ("a.test",), tmp_path / "site")
    assert [pair.chain.name for pair in source.pairs_now()] == ["fullchain.pem"]
    (tmp_path / "site" / "fullchain-rsa.pem").touch()
    assert len(source.pairs_now()) == 2


def test_a_key_of_another_certificate(ca):
    one, other = ca.issue("a.test"), ca.issue("a.test")
    with pytest.raises(CertificateError, match=r"key\.pem: the key does not belong to .*fullchain"):
        load_identity([KeyPairFiles(one.chain_path, other.key_path)])
    rsa = ca.issue("a.test", key="rsa")
    with pytest.raises(CertificateError, match="does not belong"):
        load_identity([KeyPairFiles(one.chain_path, rsa.key_path)])


def test_an_expired_certificate(ca):
    with pytest.raises(CertificateError, match="expired on"):
        loaded(ca.issue("a.test", days=-1))
    leaf = ca.issue("a.test", days=30)
    loaded(leaf, now=now().timestamp())
    with pytest.raises(CertificateError, match="expired on"):
        loaded(leaf, now=now().timestamp() + 40 * 86400)


def test_a_certificate_without_names(ca):
    with pytest.raises(CertificateError, match="names no host"):
        loaded(ca.issue())


def test_a_chain_in_the_wrong_order(ca):
    leaf = ca.intermediate().issue("a.test")
    blocks = leaf.chain_path.read_text().split("-----BEGIN")
    leaf.chain_path.write_text("".join(f"-----BEGIN{block}" for block in blocks[:0:-1]))
    with pytest.raises(CertificateError, match="wrong order"):
        loaded(leaf)


def test_a_missing_file_is_named(ca, tmp_path):
    leaf = ca.issue("a.test")
    with pytest.raises(CertificateError, match=r"absent: no such file"):
        load_identity([KeyPairFiles(leaf.chain_path, tmp_path / "absent")])


def test_what_the_handshake_refuses_is_named_too(ca):
    with pytest.raises(CertificateError, match=r"fullchain\.pem: a handshake .* fails"):
        loaded(ca.issue("a.test", key="secp256k1"))
