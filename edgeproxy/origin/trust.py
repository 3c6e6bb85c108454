"""How an origin has to prove who it is (RFC 9110 section 4.3.4).

The standard library's verification of chain and name is always on; there is no switch to turn it
off, because a cache that can be fed by anybody serves anything to everybody. Presents no client
certificate.
"""

import ssl
from pathlib import Path

from edgeproxy.errors import CertificateError


def client_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a verifying context that trusts `ca_file`, or the system's authorities.

    TLS 1.2 is still allowed towards origins: we choose who connects to us, not what they run.

    Raises:
        CertificateError: the file cannot be read or holds no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except FileNotFoundError:
        raise CertificateError(f"{ca_file}: no such file") from None
    except PermissionError:
        raise CertificateError(f"{ca_file}: not readable by this user") from None
    except OSError as error:  # ssl.SSLError is one: the file is not PEM
        raise CertificateError(f"{ca_file}: holds no certificate in PEM form") from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context
