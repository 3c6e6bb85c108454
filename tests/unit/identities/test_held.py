"""What an identity's files held, judged as it was seen; and what can be gone back to."""

import pytest

from edgeproxy.errors import CertificateError
from edgeproxy.identities.held import Held, Previous, is_same, look_at
from edgeproxy.identities.tended import Tended
from edgeproxy.tls.files import KeyPairFiles, pairs_in
from edgeproxy.tls.identity import IdentitySource, load_identity
from tests.support.ca import LocalCa, certificate_pem
from tests.support.staples import staple_for

NOW = 1_700_000_000.0


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    return LocalCa(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def leaf(ca, tmp_path):
    return ca.issue("a.test", directory=tmp_path)


def test_what_was_seen_is_loaded_also_when_the_files_have_changed_since(ca, leaf, tmp_path):
    pairs = pairs_in(tmp_path)
    first = look_at(pairs)
    ca.issue("a.test", directory=tmp_path)
    now = leaf.certificate.not_valid_after_utc.timestamp() - 1
    assert first.load(pairs, "a", now).credentials[0].leaf == leaf.certificate
    second = look_at(pairs)
    assert second.digest != first.digest
    assert second.load(pairs, "a", now).credentials[0].leaf != leaf.certificate


def test_the_same_files_are_the_same_and_their_permissions_count(leaf, tmp_path):
    pairs = pairs_in(tmp_path)
    before = look_at(pairs)
    assert look_at(pairs).digest == before.digest
    leaf.key_path.chmod(0o640)
    assert look_at(pairs).digest != before.digest


def test_why_they_cannot_be_read_is_part_of_what_was_seen(leaf, tmp_path):
    pairs = pairs_in(tmp_path)
    leaf.key_path.unlink()
    missing = look_at(pairs)
    leaf.key_path.mkdir()
    directory = look_at(pairs)
    assert missing.digest != directory.digest
    with pytest.raises(CertificateError, match=r"key\.pem: no such file"):
        missing.load(pairs, "a", NOW)


def test_an_issuer_file_that_appears_is_seen(ca, leaf, tmp_path):
    before = look_at(pairs_in(tmp_path))
    (tmp_path / "issuer.pem").write_bytes(certificate_pem(ca.certificate))
    assert look_at(pairs_in(tmp_path)).digest != before.digest


def test_identities_are_the_same_whatever_is_stapled(ca, leaf, tmp_path):
    identity = load_identity([leaf.files])
    staple = staple_for(leaf.certificate, ca)
    stapled = identity.with_staples({identity.fingerprints[0]: staple})
    assert is_same(identity, stapled)
    (tmp_path / "issuer.pem").write_bytes(certificate_pem(ca.certificate))
    with_issuer = KeyPairFiles(leaf.chain_path, leaf.key_path, tmp_path / "issuer.pem")
    assert not is_same(identity, load_identity([with_issuer]))
    rsa = ca.issue("a.test", key="rsa", directory=tmp_path / "rsa")
    assert not is_same(identity, load_identity([leaf.files, rsa.files]))
    assert not is_same(identity, load_identity([rsa.files]))


def test_what_can_be_gone_back_to_is_forgotten_in_time(leaf):
    identity = load_identity([leaf.files])
    source = IdentitySource("a.test", (leaf.files,), ("a.test",))
    held = Held(source, Tended(identity, None), NOW)
    assert (held.name, held.previous_now(NOW)) == ("a.test", None)
    held.previous = Previous(identity, NOW + 60)
    assert held.previous_now(NOW + 59) is identity
    assert held.previous_now(NOW + 60) is None
    assert held.previous is None
