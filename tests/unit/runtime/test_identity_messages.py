import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from edgeproxy.runtime.identity_messages import pack_identity, unpack_identity
from edgeproxy.tls.identity import load_identity
from edgeproxy.tls.ocsp.staple import Staple
from tests.support.ca import LocalCa


def public(key):
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_an_identity_comes_through_json_as_it_was(tmp_path, kind):
    leaf = LocalCa(tmp_path).issue("a.test", "*.b.test", key=kind)
    plain = load_identity([leaf.files], name="a")
    stapled = plain.with_staples({plain.fingerprints[0]: Staple(b"der", 1.0, 3.0, 2.0)})
    for identity in (plain, stapled):
        there = unpack_identity(json.loads(json.dumps(pack_identity(identity))))
        assert (there.name, there.names) == ("a", ("a.test", "*.b.test"))
        [one], [other] = there.credentials, identity.credentials
        assert (one.chain, one.issuer, one.staple) == (other.chain, other.issuer, other.staple)
        assert public(one.key) == public(other.key)
