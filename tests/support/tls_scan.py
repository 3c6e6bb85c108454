"""`python -m tests.support.tls_scan`: what scanners find at a running PoP.

testssl.sh and sslscan against `edgeproxy serve` on loopback, with a private authority. Exits with 1
when there is a finding of MEDIUM or above, or a fault of the scan itself, that EXPECTED does not
name; also when what must be seen was not.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

from tests.support.scanned import COMPRESSED_PATH, NAME, scanned

SECONDS_MAX = 600
HARMLESS = ("OK", "INFO", "LOW", "DEBUG")

# What is found, is not to be mended, and why; docs/tls-scan.md says more.
EXPECTED = {
    "testssl.sh": {
        "engine_problem": "the scanner's own OpenSSL has no GOST engine",
        "sessionresumption_ticket": "the scanner leaves before a ticket of TLS 1.3 can come",
    },
    "testssl.sh --breach": {
        "BREACH": "the page is compressed, as everything public is; it holds no secret",
        "engine_problem": "the scanner's own OpenSSL has no GOST engine",
    },
    "sslscan": {},
}
# What a scan has to have seen: one that broke off finds nothing, and nothing bad.
REQUIRED = {
    "SSLv2": "not offered",
    "SSLv3": "not offered",
    "TLS1": "not offered",
    "TLS1_1": "not offered",
    "TLS1_2": "not offered",
    "TLS1_3": "offered",
    "OCSP_stapling <cert#1>": "offered",
    "OCSP_stapling <cert#2>": "offered",
    "cert_ocspRevoked <cert#1>": "not revoked",
    "cert_ocspRevoked <cert#2>": "not revoked",
    "cert_chain_of_trust <cert#1>": "passed",
    "cert_chain_of_trust <cert#2>": "passed",
    "RC4": "not vulnerable",
}


@dataclass(frozen=True)
class Finding:
    """One line of a scanner's report."""

    scanner: str
    name: str
    severity: str
    text: str

    @property
    def why(self) -> str:
        """Why it is as expected; "" for harmless ones and for those that are not."""
        return EXPECTED[self.scanner].get(self.name, "")

    @property
    def is_fault(self) -> bool:
        return self.severity not in HARMLESS and not self.why


def of_testssl(document: list[dict[str, Any]], scanner: str = "testssl.sh") -> list[Finding]:
    """Read the flat JSON of testssl.sh."""
    return [
        Finding(scanner, each["id"], each["severity"], each["finding"].strip()) for each in document
    ]


def of_sslscan(document: Xml.Element) -> list[Finding]:
    """Read sslscan's XML, which knows no severities: anything below TLS 1.3 is HIGH."""

    def found(name: str, text: str, *, is_well: bool) -> Finding:
        return Finding("sslscan", name, "OK" if is_well else "HIGH", text)

    findings = []
    for each in document.iter("protocol"):
        name = f"{each.get('type')}v{each.get('version')}".replace("sslv", "SSLv")
        is_offered = each.get("enabled") == "1"
        text = "enabled" if is_offered else "disabled"
        findings.append(found(f"protocol {name}", text, is_well=is_offered == (name == "tlsv1.3")))
    for each in document.iter("cipher"):
        text = f"{each.get('sslversion')}, {each.get('bits')} bits"
        is_well = each.get("sslversion") == "TLSv1.3" and each.get("strength") in {
            "strong",
            "acceptable",
        }
        findings.append(found(f"cipher {each.get('cipher')}", text, is_well=is_well))
    for each in document.iter("group"):
        is_well = int(each.get("bits", 0)) >= 128
        findings.append(found(f"group {each.get('name')}", "offered", is_well=is_well))
    for tag, attribute, good in (
        ("renegotiation", "supported", "0"),
        ("compression", "supported", "0"),
        ("heartbleed", "vulnerable", "0"),
    ):
        for each in document.iter(tag):
            value = each.get(attribute)
            findings.append(found(tag, f"{attribute} {value}", is_well=value == good))
    return findings


def missing(findings: list[Finding]) -> list[str]:
    """Name what must have been seen and was not."""
    seen = {each.name: each.text for each in findings if each.scanner == "testssl.sh"}
    lacking = [
        f"{name}: {seen.get(name, 'not looked at')}, wanted: {text}"
        for name, text in REQUIRED.items()
        if not seen.get(name, "").startswith(text)
    ]
    protocols = [each for each in findings if each.name.startswith("protocol ")]
    return lacking if len(protocols) >= 6 else [*lacking, "sslscan saw no protocols"]


async def scan(folder: Path) -> list[Finding]:
    """Run the scanners, one after the other."""
    async with scanned(folder) as place:
        address = f"https://{NAME}:{place.port}"
        findings = await _testssl(folder, "testssl.sh", place.ca_file, address + "/")
        findings += await _testssl(
            folder, "testssl.sh --breach", place.ca_file, address + COMPRESSED_PATH, "--breach"
        )
        report = folder / "sslscan.xml"
        await _run(
            *("sslscan", "--no-colour", "--ocsp", f"--sni-name={NAME}", f"--xml={report}"),
            f"127.0.0.1:{place.port}",
        )
        return findings + of_sslscan(Xml.parse(report).getroot())


async def _testssl(
    folder: Path, scanner: str, ca_file: Path, address: str, *flags: str
) -> list[Finding]:
    report = folder / f"{scanner.replace(' ', '')}.json"
    await _run(
        *("testssl", "--quiet", "--color", "0", "--warnings", "batch", *flags),
        *("--nodns", "none", "--ip", "127.0.0.1", "--add-ca", str(ca_file)),
        *("--connect-timeout", "10", "--openssl-timeout", "20"),
        *("--jsonfile", str(report), address),
    )
    return of_testssl(json.loads(report.read_text()), scanner)


async def _run(*command: str) -> None:
    """Run a scanner to its end; what it finds is in its report, not in its exit code."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(SECONDS_MAX):
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def table(findings: list[Finding]) -> str:
    """Return what is not OK or INFO, and how many of each there are."""
    lines = ["| scanner | finding | severity | what it says | why |", "|---|---|---|---|---|"]
    lines += [
        f"| {each.scanner} | {each.name} | {each.severity} | {each.text} | {each.why or '**?**'} |"
        for each in findings
        if each.severity not in {"OK", "INFO"}
    ]
    for scanner in EXPECTED:
        counts = Counter(each.severity for each in findings if each.scanner == scanner)
        lines.append(
            f"{scanner}: " + ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
        )
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.tls_scan", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print every finding as JSON")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="edgeproxy-scan-") as folder:
        findings = asyncio.run(scan(Path(folder)))
    faults = [f"{each.name}: {each.severity}: {each.text}" for each in findings if each.is_fault]
    faults += missing(findings)
    print(json.dumps([asdict(each) for each in findings]) if options.json else table(findings))
    for fault in faults:
        print(f"tls-scan: {fault}", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
