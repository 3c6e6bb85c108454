import dataclasses

import pytest

from edgeproxy.wire.h2.frames import FRAME_BYTES_MAX
from edgeproxy.wire.limits import Limits


def test_limits_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Limits().idle_seconds = 1.0  # type: ignore[misc]


def test_every_limit_is_a_positive_number():
    values = dataclasses.asdict(Limits())
    assert values
    assert all(value > 0 for value in values.values()), values


def test_the_figures_of_the_design():
    limits = Limits()
    assert limits.concurrent_streams_max == 100
    assert (limits.resets_burst, limits.resets_per_second) == (100, 20.0)
    assert (limits.control_frames_burst, limits.control_frames_per_second) == (100, 10.0)
    assert (limits.continuations_max, limits.field_block_bytes_max) == (8, 32 * 1024)
    assert (limits.fields_max, limits.field_section_bytes_max) == (128, 16 * 1024)
    assert (limits.settings_per_frame_max, limits.empty_frames_in_a_row_max) == (32, 10)
    assert limits.unsent_bytes_max == 256 * 1024
    assert (limits.zero_window_seconds, limits.write_stall_seconds) == (30.0, 60.0)
    assert (limits.minimum_rate_after_seconds, limits.minimum_rate_bytes_per_second) == (10, 1024)
    assert (limits.tls_handshake_seconds, limits.preface_seconds) == (10.0, 10.0)
    assert (limits.headers_seconds, limits.idle_seconds) == (10.0, 60.0)


def test_limits_fit_each_other():
    limits = Limits()
    assert limits.field_section_bytes_max <= limits.field_block_bytes_max
    assert limits.field_block_bytes_max <= (limits.continuations_max + 1) * FRAME_BYTES_MAX
    assert limits.target_bytes_max <= limits.field_section_bytes_max
