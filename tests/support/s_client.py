"""`openssl s_client` and what it prints: another OpenSSL than the edge's, run as a program."""

import asyncio
import re
from pathlib import Path

from cryptography import x509

from tests.support import clients

SIGNATURES = {"ecdsa": "ECDSA+SHA256", "rsa": "RSA-PSS+SHA256"}
"""What to give to `-sigalgs` to get a certificate of that kind."""


async def s_client(
    port: int, ca_file: Path, *flags: str, name: str | None = "a.test", asks: bytes = b""
) -> str:
    """Shake hands; ask for `asks` and wait for the end, or say goodbye at once."""
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-showcerts"]
    command += ["-CAfile", str(ca_file), "-verify_return_error"]
    command += ["-noservername"] if name is None else ["-servername", name]
    if asks:
        command.append("-ign_eof")
    done = await asyncio.to_thread(clients.run, *command, *flags, ok=False, data=asks)
    return done.stdout.decode() + done.stderr.decode()


def request_for(host: str, path: str = "/") -> bytes:
    """Return a request after which the connection is over."""
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode()


def shown(output: str) -> tuple[x509.Certificate, ...]:
    """Return the chain that the server sent."""
    pem = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", output, re.DOTALL)
    return tuple(x509.load_pem_x509_certificate(each.encode()) for each in pem)


def stapled(output: str) -> str | None:
    """Return the status that was stapled, None where nothing was; `-status` has to be given."""
    if "OCSP response: no response sent" in output:
        return None
    assert "OCSP Response Status: successful" in output, output
    return re.search(r"Cert Status: (\w+)", output)[1]
