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
    _, _, chain = output.partition("\nCertificate chain\n")  # a staple's signer is before it
    pem = re.findall(r"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", chain, re.DOTALL)
    return tuple(x509.load_pem_x509_certificate(each.encode()) for each in pem)


def stapled(output: str) -> str | None:
    """Return the status that was stapled, None where nothing was; `-status` has to be given."""
    if "OCSP response: no response sent" in output:
        return None
    assert "OCSP Response Status: successful" in output, output
    return re.search(r"Cert Status: (\w+)", output)[1]


def stapled_serial(output: str) -> int:
    """Return which certificate the staple is about."""
    return int(re.search(r"Serial Number: ([0-9A-F]+)", output)[1], 16)


def alert(output: str) -> int | None:
    """Return the number of the alert that ended the handshake (RFC 8446 section 6), or None."""
    found = re.search(r"SSL alert number (\d+)", output)
    return int(found[1]) if found else None
