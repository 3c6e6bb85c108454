"""Tests for edgeproxy/quic/sending.py."""

from aioquic.quic import events

from tests.support.quic import (
    uint_var,
    write_frames,
)


def asked(pair, *streams):
    for stream_id in streams:
        pair.client.send_stream_data(stream_id, b"?", end_stream=True)
    pair.run(3)


def finished_in_order(pair):
    return [each.stream_id for each in pair.of(events.StreamDataReceived) if each.end_stream]


def arrived_before(pair, stream_id):
    """Octets of each other stream that arrived before the end of one."""
    found: dict[int, int] = {}
    for each in pair.of(events.StreamDataReceived):
        if each.stream_id == stream_id and each.end_stream:
            return found
        found[each.stream_id] = found.get(each.stream_id, 0) + len(each.data)
    return found


def test_streams_go_by_urgency(pair):
    asked(pair, 0, 4, 8)
    for stream_id, urgency in ((0, 5), (4, 3), (8, 0)):
        pair.server.prioritise(stream_id, urgency, incremental=False)
        pair.server.queue(stream_id, bytes(50_000), end=True)
    pair.run(100)
    assert finished_in_order(pair) == [8, 4, 0]
    assert 0 not in arrived_before(pair, 4)


def test_of_one_urgency_one_after_the_other(pair):
    asked(pair, 0, 4)
    for stream_id in (4, 0):
        pair.server.queue(stream_id, bytes(50_000), end=True)
    pair.run(100)
    assert finished_in_order(pair) == [0, 4]
    assert arrived_before(pair, 0).get(4, 0) < 1500


def test_incremental_streams_take_turns(pair):
    asked(pair, 0, 4, 8)
    for stream_id in (0, 4, 8):
        pair.server.prioritise(stream_id, 3, incremental=True)
        pair.server.queue(stream_id, bytes(60_000), end=True)
    pair.run(100)
    first, *_ = finished_in_order(pair)
    others = [octets for each, octets in arrived_before(pair, first).items() if each != first]
    assert min(others) > 50_000
    assert sorted(finished_in_order(pair)) == [0, 4, 8]


def test_a_priority_that_changes_has_effect_at_once(pair):
    asked(pair, 0, 4)
    pair.server.queue(0, bytes(200_000), end=True)
    pair.server.queue(4, bytes(20_000), end=True)
    pair.run(2)
    pair.server.prioritise(4, 1, incremental=False)
    pair.run(100)
    assert finished_in_order(pair) == [4, 0]
    pair.server.prioritise(0, 1, incremental=False)  # of a stream that is gone: nothing
    assert not pair.server._schedule._lane_of


def test_our_own_streams_come_first(pair):
    asked(pair, 0)
    pair.server.prioritise(0, 0, incremental=False)
    pair.server.queue(0, bytes(100_000), end=True)
    control = pair.server.open_unidirectional()
    assert control == 3
    pair.server.queue(control, b"settings")
    pair.run(100)
    assert pair.received(control) == b"settings"
    assert arrived_before(pair, 0)[control] == 8
    assert pair.of(events.StreamDataReceived)[0].stream_id == control


def test_more_frames_than_fit_one_packet_all_go(pair):
    streams = [4 * n for n in range(100)]
    for stream_id in streams:
        pair.client.send_stream_data(stream_id, bytes(600))
    pair.run(20)
    for stream_id in streams:
        pair.server.abandon(stream_id, 0x10C)
        pair.server.stop(stream_id, 0x10C)
    pair.run(20)
    assert {each.stream_id for each in pair.of(events.StreamReset)} == set(streams)
    assert {each.stream_id for each in pair.of(events.StopSendingReceived)} == set(streams)


def test_streams_that_are_over_make_place_for_new_ones(pair):
    for round_ in range(5):
        streams = [4 * (60 * round_ + n) for n in range(60)]
        for stream_id in streams:
            pair.client.send_stream_data(stream_id, b"?", end_stream=True)
        pair.run(10)
        for stream_id in streams:
            pair.server.queue(stream_id, b"!", end=True)
        pair.run(10)
    assert len(finished_in_order(pair)) == 300
    assert not pair.server._streams
    assert not pair.server._receipts
    assert not len(pair.server._schedule)
    assert not pair.server._schedule.outstanding_bytes
    assert not pair.server._schedule._lane_of


def test_closing_goes_out_whatever_waits(pair):
    asked(pair, 0)
    pair.server.queue(0, bytes(100_000), end=True)
    pair.server.finish(0x100, "done")
    pair.run(2)
    assert pair.closed.error_code == 0x100
    assert pair.closed.reason_phrase == "done"
    assert pair.server.farewell


def test_what_was_given_up_while_its_window_was_shut_stays_so(pair):
    asked(pair, 0, 4)
    server = pair.server
    server._streams[0].max_stream_data_remote = 1000
    server.queue(0, bytes(5000))
    pair.run(5)
    assert 0 in server._shut
    server.abandon(0, 0x10C)
    write_frames(pair, b"\x10" + uint_var(1 << 30))  # for all streams
    server.queue(4, b"goes on", end=True)
    pair.run(10)
    assert not server.is_over
    assert [each.stream_id for each in pair.of(events.StreamReset)] == [0]
    assert pair.received(4) == b"goes on"
