"""The comparison of handshakes: what it asks, of whom, and what it makes of the answers."""

import asyncio
import shutil

import pytest
from cryptography.x509 import ocsp

from bench.handshakes.__main__ import EDGE, EDGE_HOST, Row, _filled, arguments, edge, measure, rows
from bench.handshakes.material import certificates
from edgeproxy.config.load import load_text


def test_a_row_is_the_median_of_neighbours():
    row = Row("rsa", "full", "staple", ours=[100.0, 300.0, 200.0], theirs=[100.0, 100.0, 100.0])
    found = row.to_json()
    assert (found["ours"], found["theirs"], found["ratio"]) == (200.0, 100.0, 2.0)
    assert found["staple"] is True


def test_every_kind_is_measured_in_full_with_and_without_a_staple():
    assert len({(row.kind, row.how, row.staple) for row in rows()}) == 5
    assert arguments([]).rounds == 5


def test_the_edge_takes_its_configuration(tmp_path):
    with certificates(tmp_path) as made:
        text = EDGE.format(port=0, hosts=_filled(EDGE_HOST, made))
        config = load_text(text, base=tmp_path)
    assert [host.name for host in config.host] == ["ecdsa.localhost", "rsa.localhost"]
    for each in made:
        response = ocsp.load_der_ocsp_response(each.staple.read_bytes())
        assert response.certificate_status is ocsp.OCSPCertStatus.GOOD


@pytest.mark.skipif(shutil.which("taskset") is None, reason="needs taskset")
async def test_every_row_is_what_it_says(tmp_path):
    """The client ends with a message when it is not stapled, or resumed, as it should be."""

    def each_row() -> None:
        with certificates(tmp_path) as made, edge(tmp_path, made, 0) as server:
            for row in rows():
                measure(server, row, 3, 0)

    await asyncio.to_thread(each_row)
