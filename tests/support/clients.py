"""Real clients, run as programs: curl, nghttp, openssl, Chromium."""

import base64
import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SECONDS = 60

CHROMIUM = (
    "chromium",
    "--headless",
    "--no-sandbox",  # tests run as root in containers, where Chromium refuses a sandbox
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--mute-audio",
    "--window-size=800,640",
    "--virtual-time-budget=8000",
)


@dataclass(frozen=True)
class Answer:
    """What curl printed of the last response; field names in lower case, their lines joined."""

    protocol: str
    status: int
    fields: dict[str, str]
    body: bytes


def run(*command: str, ok: bool = True, data: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    done = subprocess.run(command, capture_output=True, timeout=SECONDS, check=False, input=data)
    if ok:
        said = done.stderr.decode(errors="replace")
        assert done.returncode == 0, f"{command[0]} ended with {done.returncode}: {said}"
    return done


def curl(url: str, *flags: str, ca: Path | None = None) -> Answer:
    trust = () if ca is None else ("--cacert", str(ca))
    raw = run("curl", "-sS", "-i", "--max-time", "30", *trust, *flags, url).stdout
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    protocol, status = first.split(" ")[:2]
    fields: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        earlier = fields.get(name.lower())
        fields[name.lower()] = value.strip() if earlier is None else f"{earlier}, {value.strip()}"
    return Answer(protocol, int(status), fields, body)


def chromium(url: str, leaf: Path, *flags: str, quic: str = "") -> bytes:
    """Load a page, trusting this one certificate's key; return what Chromium printed.

    `quic` is the HOST:PORT that is asked over HTTP/3 from the first request on.
    """
    transport = [f"--origin-to-force-quic-on={quic}"] if quic else ["--disable-quic"]
    # over QUIC Chromium does not go on to the next address: localhost is ::1 first
    transport += ["--host-resolver-rules=MAP localhost 127.0.0.1"] if quic else []
    key = x509.load_pem_x509_certificate(leaf.read_bytes()).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    pin = base64.b64encode(hashlib.sha256(spki).digest()).decode()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        trust = f"--ignore-certificate-errors-spki-list={pin}"
        own = (f"--user-data-dir={profile}", trust, *transport)
        return run(*CHROMIUM, *own, *flags, url).stdout
