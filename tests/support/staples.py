"""Real OCSP responses, signed by the authority itself, as staples for handshakes."""

from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

from edgeproxy.tls.ocsp.staple import Staple
from tests.support.ca import LocalCa, now

DAY = 86400.0


def staple_for(leaf: x509.Certificate, ca: LocalCa, *, usable_seconds: float = DAY) -> Staple:
    """Return a staple that says good; OpenSSL drops what does not parse or has another serial."""
    began = now() - timedelta(hours=1)
    response = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=leaf,
            issuer=ca.certificate,
            algorithm=hashes.SHA1(),
            cert_status=ocsp.OCSPCertStatus.GOOD,
            this_update=began,
            next_update=began + timedelta(days=7),
            revocation_time=None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, ca.certificate)
        .sign(ca.key, hashes.SHA256())
    )
    end = now().timestamp() + usable_seconds
    der = response.public_bytes(Encoding.DER)
    return Staple(der, began.timestamp(), began.timestamp() + 7 * DAY, end)
