"""Tests for edgeproxy/quic/connection_ids.py."""

import pytest

from edgeproxy.quic.connection_ids import Naming


@pytest.mark.parametrize("workers", [1, 2, 3, 7, 256])
def test_an_id_names_its_worker(workers):
    for worker in {0, workers // 2, workers - 1}:
        naming = Naming(worker, workers)
        ids = {naming.new() for _ in range(200)}
        assert len(ids) == 200
        assert {each[0] % workers for each in ids} == {worker}
        assert {len(each) for each in ids} == {8}
        assert all(naming.is_ours(each) for each in ids)


def test_every_first_octet_that_is_possible_comes():
    naming = Naming(1, 3)
    firsts = {naming.new()[0] for _ in range(5000)}
    assert firsts == set(range(1, 256, 3))


def test_another_workers_is_not_ours():
    assert not Naming(0, 2).is_ours(b"\x01" + bytes(7))
    assert not Naming(0, 2).is_ours(b"")


@pytest.mark.parametrize(("worker", "workers"), [(1, 1), (-1, 2), (0, 257)])
def test_numbers_that_cannot_be(worker, workers):
    with pytest.raises(ValueError, match="workers"):
        Naming(worker, workers)
