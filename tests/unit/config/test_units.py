import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgeproxy.config.units import format_duration, format_size, parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("500ms", 0.5),
        ("1.5s", 1.5),
        ("30s", 30),
        ("5m", 300),
        ("24h", 86400),
        ("7d", 604800),
        ("2w", 1209600),
        ("1y", 31536000),
        ("0s", 0),
    ],
)
def test_a_duration_is_a_number_and_a_unit(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    "text", ["", "30", "s", "-1s", "+1s", "1 s", "1s ", "1_0s", "1S", "1h30m", "٣s", "1e3s", ".5s"]
)
def test_anything_else_is_no_duration(text):
    with pytest.raises(ValueError, match="expected a duration"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0B", 0),
        ("100B", 100),
        ("1KB", 1000),
        ("16KiB", 16384),
        ("1.5MiB", 1572864),
        ("2GB", 2 * 10**9),
    ],
)
def test_a_size_is_a_number_and_a_unit(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "1", "1kb", "1K", "1 MiB", "-1B", "1TiB", "12345678901B"])
def test_anything_else_is_no_size(text):
    with pytest.raises(ValueError, match="expected a size"):
        parse_size(text)


@given(st.integers(0, 10**9))
def test_whole_seconds_survive_a_round_trip(seconds):
    assert parse_duration(format_duration(seconds)) == seconds


@given(st.integers(0, 10**9))
def test_sizes_survive_a_round_trip(size):
    assert parse_size(format_size(size)) == size


def test_units_are_the_largest_that_fit():
    assert format_duration(31536000) == "1y"
    assert format_duration(90) == "90s"
    assert format_duration(0.25) == "250ms"
    assert format_size(512 * 1024**2) == "512MiB"
