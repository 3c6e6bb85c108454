"""Certificates are replaced under load: nobody notices, but for what they are shown.

The long run is `python -m tests.support.rotation`, which `make soak` includes.
"""

from tests.support.rotation.run import rotate


async def test_certificates_are_replaced_and_nothing_fails(tmp_path):
    found = await rotate(tmp_path, seconds=8, handshake_rate=60, request_rate=40, swaps=6)
    print(found.summary())
    assert found.faults() == []
    assert found.swaps_counted == 6
    assert set(found.seen["kinds"]) == {"ecdsa", "rsa"}
    assert found.seen["requests"] > 0
