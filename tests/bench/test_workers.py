"""How several workers are judged beside one."""

import pytest

from bench.compare.load import Sample
from bench.workers import Split, result


def of(microseconds: float, *shares: float):
    sample = Sample(microseconds, 1000.0, 40.0, 0)
    return Split(sample, {f"edge worker {n}": share for n, share in enumerate(shares)})


@pytest.mark.parametrize(
    ("several", "ratio", "kept"),
    [
        ([of(21, 0.4, 0.6), of(22, 0.5, 0.5), of(90, 0.7, 0.3)], 1.1, True),
        ([of(23, 0.4, 0.6), of(23, 0.5, 0.5), of(20, 0.7, 0.3)], 1.15, False),
        ([of(20, 0.4, 0.6), of(20, 0.99, 0.01), of(20, 0.5, 0.5)], 1.0, False),
        ([of(20, 1.0), of(20, 1.0), of(20, 1.0)], 1.0, False),
    ],
)
def test_workers_are_judged_by_the_median_round_and_by_who_served(several, ratio, kept):
    found = result(1024, [of(20, 1.0).sample] * 3, several, 2)
    assert (found["ratio"], found["kept"]) == (ratio, kept)
