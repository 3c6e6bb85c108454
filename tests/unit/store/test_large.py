import pytest

from edgeproxy.errors import StoreError
from edgeproxy.store.disk.streams import DiskSpill, StoredBody
from edgeproxy.store.large import OpenBody, Spill
from tests.support.lower import Octets


def test_those_who_are_one_have_all_that_it_takes():
    for protocol, kinds in ((Spill, (DiskSpill, Octets)), (OpenBody, (StoredBody, Octets))):
        wanted = {name for name in vars(protocol) if not name.startswith("_")}
        for kind in kinds:
            assert wanted <= set(dir(kind))


async def test_what_fails_says_so_by_one_kind_of_error():
    body = Octets(b"abc")
    assert await body.read(1, 2) == b"bc"
    body.fault = StoreError("gone")
    with pytest.raises(StoreError):
        await body.read(0, 1)
