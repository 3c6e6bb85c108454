"""What a leaf says about OCSP: whom to ask, whether it must be stapled, how it is named there.

Pure. Says nothing for a leaf that names no responder: most public authorities have dropped OCSP, so
that is the ordinary case and no fault. RFC 6960 sections 3.1 and 4.1.1, RFC 7633.
"""

import re
from typing import Final, NamedTuple, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

# Visible ASCII with a host and without userinfo: it goes into a request line as it stands.
_URL: Final = re.compile(r"(?ai:https?)://[A-Za-z0-9.:_\[\]-]+([/?#][!-~]*)?")

_Kind = TypeVar("_Kind", bound=x509.ExtensionType)


class CertId(NamedTuple):
    """How OCSP names a certificate: hashes of its issuer's name and key, and its serial."""

    issuer_name_hash: bytes
    issuer_key_hash: bytes
    serial: int


def responder_url(leaf: x509.Certificate) -> str | None:
    """Return the first http or https URL of an OCSP responder in the leaf, if it names one."""
    extension = _extension(leaf, x509.AuthorityInformationAccess)
    if extension is None:
        return None
    for description in extension:
        if description.access_method != AuthorityInformationAccessOID.OCSP:
            continue
        location = description.access_location
        if isinstance(location, x509.UniformResourceIdentifier) and _URL.fullmatch(location.value):
            return location.value.partition("#")[0]
    return None


def must_staple(leaf: x509.Certificate) -> bool:
    """Whether clients are told to refuse the leaf without a staple (RFC 7633 section 4.2.3)."""
    features = _extension(leaf, x509.TLSFeature)
    return features is not None and x509.TLSFeatureType.status_request in features


def certificate_id(
    leaf: x509.Certificate, issuer: x509.Certificate, algorithm: hashes.HashAlgorithm
) -> CertId:
    """Compute the CertID over the names and keys as they are encoded in the certificates.

    Raises:
        ValueError: OCSP has no CertID with that hash algorithm.
    """
    request = ocsp.OCSPRequestBuilder().add_certificate(leaf, issuer, algorithm).build()
    return CertId(request.issuer_name_hash, request.issuer_key_hash, request.serial_number)


def _extension(leaf: x509.Certificate, kind: type[_Kind]) -> _Kind | None:
    try:
        return leaf.extensions.get_extension_for_class(kind).value
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        return None
