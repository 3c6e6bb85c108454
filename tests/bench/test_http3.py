"""Tests for bench/http3: how a comparison is judged, and where programs are looked for."""

from bench.http3.__main__ import row
from bench.http3.load import Programs


def test_a_size_is_judged_by_the_median_of_neighbours():
    found = row(20_480, {"edgeproxy": [10.0, 30.0, 12.0], "aioquic": [100.0, 100.0, 100.0]})
    assert found["ratios"] == {"aioquic": 0.12}
    assert found["kept"]


def test_a_passed_bar_is_said():
    assert not row(1024, {"edgeproxy": [26.0], "aioquic": [100.0]})["kept"]


def test_a_folder_without_programs_gives_none(tmp_path):
    assert Programs(tmp_path).client() is None
