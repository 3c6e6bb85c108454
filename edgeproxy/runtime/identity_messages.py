"""Identities as messages between processes: certificates and keys as DER in base64.

Only for channels that no other program can reach, since keys go through them. What is unpacked was
proven by who packed it, so nothing is judged again.
"""

from base64 import b64decode, b64encode
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

from edgeproxy.tls.credential import Credential
from edgeproxy.tls.identity import Identity
from edgeproxy.tls.material import PrivateKey
from edgeproxy.tls.ocsp.staple import Staple


def pack_identity(identity: Identity) -> dict[str, object]:
    """Return an identity, ready for JSON; advice about files is not in it."""
    return {
        "name": identity.name,
        "credentials": [_packed(each) for each in identity.credentials],
    }


def unpack_identity(packed: dict[str, Any]) -> Identity:
    """Return what `pack_identity` was given."""
    return Identity(packed["name"], tuple(_unpacked(each) for each in packed["credentials"]))


def _packed(credential: Credential) -> dict[str, object]:
    staple, issuer = credential.staple, credential.issuer
    key = credential.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return {
        "chain": [_certificate(each) for each in credential.chain],
        "key": _text(key),
        "issuer": None if issuer is None else _certificate(issuer),
        "staple": None
        if staple is None
        else [_text(staple.der), staple.this_update, staple.next_update, staple.usable_until],
    }


def _unpacked(packed: dict[str, Any]) -> Credential:
    # The check of an RSA key takes longer than all the rest, and it was made when it was loaded.
    key = load_der_private_key(b64decode(packed["key"]), None, unsafe_skip_rsa_key_validation=True)
    issuer, staple = packed["issuer"], packed["staple"]
    return Credential(
        tuple(x509.load_der_x509_certificate(b64decode(each)) for each in packed["chain"]),
        cast("PrivateKey", key),
        staple=None if staple is None else Staple(b64decode(staple[0]), *staple[1:]),
        issuer=None if issuer is None else x509.load_der_x509_certificate(b64decode(issuer)),
    )


def _certificate(certificate: x509.Certificate) -> str:
    return _text(certificate.public_bytes(Encoding.DER))


def _text(data: bytes) -> str:
    return b64encode(data).decode("ascii")
