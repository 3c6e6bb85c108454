"""The parts of aioquic that `edgeproxy/quic` overrides or reads: what fails here has moved.

The version is pinned to a minor one. When it is let go, this says what has to be looked at; that it
still works the same is for the other tests to say.
"""

import dataclasses
import inspect
import re
from importlib.metadata import version

import pytest
from aioquic import tls
from aioquic.quic import congestion, connection, crypto, packet_builder, recovery, stream
from aioquic.quic.congestion import reno

from edgeproxy.quic.connection import ServerConnection
from edgeproxy.quic.handshake import ServerTls
from edgeproxy.quic.keys import OneRttKeys
from edgeproxy.quic.lane import SentPacket
from edgeproxy.quic.outgoing import Outgoing
from edgeproxy.quic.schedule import Schedule
from edgeproxy.tls.contexts import FrontContext
from tests.support.quic import Pair, any_identity, settings_of

CONNECTION_STATE = """
_ack_delay _ack_eliciting_sent_since_receipt _close_at _close_event _close_pending _configuration
_crypto_buffers _crypto_streams _cryptos _events _handshake_complete _handshake_confirmed
_handshake_done_pending _host_cid_seq _host_cids _local_ack_delay_exponent
_local_active_connection_id_limit _local_initial_source_connection_id _local_max_data
_local_max_streams_bidi _local_max_streams_uni _loss _max_datagram_size _network_paths _pacing_at
_packet_number _peer_cid _peer_cid_available _probe_pending _remote_ack_delay_exponent
_remote_active_connection_id_limit _remote_max_data _remote_max_data_used _remote_max_idle_timeout
_retire_connection_ids _spaces _spin_bit _spin_highest_pn _state _streams _streams_queue host_cid
_QuicConnection__frame_handlers
"""
RECOVERY_STATE = """
_cc _pacer _pto_count _rtt_first_sample_time _rtt_initialized _rtt_latest _rtt_min _rtt_smoothed
_rtt_variance _time_of_last_sent_ack_eliciting_packet max_ack_delay
peer_completed_address_validation
"""
SPACE_STATE = """
ack_at ack_eliciting_in_flight ack_queue expected_packet_number largest_acked_packet
largest_received_packet largest_received_time loss_time received_packets sent_packets
"""
CONGESTION_STATE = "bytes_in_flight congestion_window on_packet_acked on_packet_sent"
PACER_STATE = "bucket_max bucket_time packet_time next_send_time update_after_send update_bucket"
# The crypto stream has a sender of aioquic's, of which this is asked as well.
CRYPTO_SENDER_FACE = {"buffer_is_empty"}
OVERRIDDEN = {
    connection.QuicConnection: ServerConnection,
    tls.Context: ServerTls,
    crypto.CryptoPair: OneRttKeys,
}


@pytest.fixture
def pair():
    settings = settings_of(FrontContext([any_identity()]))
    found = Pair(settings, server_name="a.test").run()
    found.client.send_stream_data(0, b"x")
    return found.run(3)


def test_the_version_is_the_one_that_was_read():
    assert version("aioquic").startswith("1.7.")


def has(thing, names):
    return [name for name in names.split() if not hasattr(thing, name)]


def test_the_state_that_is_read_is_there(pair):
    server = pair.server
    assert has(server, CONNECTION_STATE) == []
    receiver = server._streams[0].receiver
    assert has(receiver, "_buffer _final_size _ranges highest_offset stop_pending") == []
    assert has(server._loss, RECOVERY_STATE) == []
    assert has(server._loss._cc, CONGESTION_STATE) == []
    assert has(server._loss._pacer, PACER_STATE) == []
    assert has(server._spaces[tls.Epoch.ONE_RTT], SPACE_STATE) == []
    assert has(server._network_paths[0], "addr bytes_sent is_validated remote_challenges") == []
    assert has(server.tls, "_cipher_suites _supported_groups _psk_key_exchange_mode state") == []
    assert has(server.keys.recv, "aead hp secret key_phase") == []
    assert has(server.keys.recv.aead, "_aead _iv") == []
    assert has(server.keys.recv.aead._aead, "decrypt encrypt_into") == []
    assert has(server.keys.recv.hp, "_encryptor _is_chacha20 _mask") == []
    assert has(packet_builder.QuicPacketBuilder, "remaining_flight_space packet_is_empty") == []
    assert has(recovery, "QuicPacketPacer") == []
    assert has(stream, "QuicStreamSender QuicStreamReceiver") == []


def test_a_sending_half_of_ours_has_all_that_is_asked_of_one():
    source = inspect.getsource(connection)
    asked = set(re.findall(r"\bsender\.(\w+)", source)) - CRYPTO_SENDER_FACE
    assert asked
    assert has(Outgoing(0, Schedule()), " ".join(asked)) == []
    ours = inspect.getsource(connection.QuicConnection._write_application)  # which is replaced
    of_content = re.compile(r"(?<!crypto_)\bstream\.sender\.buffer_is_empty")
    assert len(of_content.findall(source)) == len(of_content.findall(ours)) == 1


def test_a_packet_of_ours_has_all_that_is_asked_of_one():
    known = {field.name for field in dataclasses.fields(packet_builder.QuicSentPacket)}
    ours = SentPacket(7, 1.0, 1200, (), None)
    assert has(ours, " ".join(known - {"quic_logger_frames"})) == []
    asked = set(re.findall(r"\bpacket\.(\w+)", inspect.getsource(recovery)))
    for kind in (congestion.base, reno):
        asked |= set(re.findall(r"\bpacket\.(\w+)", inspect.getsource(kind)))
    assert has(ours, " ".join(asked)) == []


def test_congestion_control_adds_up_what_it_is_told_in_groups(pair):
    assert isinstance(pair.server._loss._cc, reno.RenoCongestionControl)
    assert "sent_bytes" in inspect.getsource(reno.RenoCongestionControl.on_packet_acked)


@pytest.mark.parametrize(("theirs", "ours"), OVERRIDDEN.items())
def test_what_is_overridden_has_the_signature_that_was_read(theirs, ours):
    for base in ours.__mro__[: ours.__mro__.index(theirs)]:
        for name, function in vars(base).items():
            original = vars(theirs).get(name)
            if name == "__init__" or not inspect.isfunction(original):
                continue
            expected = list(inspect.signature(original).parameters)
            assert list(inspect.signature(function).parameters) == expected, name


def test_private_methods_that_are_called_are_there():
    called = """
        _alpn_handler _consume_peer_cid _flush_builder _get_or_create_stream_for_send
        _handle_ack_frame _handle_crypto_frame _handle_max_data_frame _initialize
        _handle_max_stream_data_frame _handle_new_connection_id_frame _handle_stop_sending_frame
        _handle_stream_frame _on_connection_limit_delivery _on_max_stream_data_delivery
        _parse_transport_parameters _replenish_connection_ids _serialize_transport_parameters
        _set_state _stream_is_discarded _stream_limit _update_traffic_key _write_ack_frame
        _write_application _write_crypto_frame _write_handshake_done_frame
        _write_new_connection_id_frame
        _write_path_challenge_frame _write_path_response_frame _write_ping_frame
        _write_reset_stream_frame _write_retire_connection_id_frame _write_stop_sending_frame
        _write_stream_frame datagrams_to_send get_timer handle_timer next_event receive_datagram
    """
    assert has(connection.QuicConnection, called) == []
    assert has(recovery.QuicPacketRecovery, "_detect_loss get_probe_timeout") == []
    theirs = "_build_session_ticket _server_handle_finished _server_handle_hello"
    assert has(tls.Context, theirs) == []


def test_a_context_writes_its_certificates_by_the_name_that_is_replaced():
    assert "push_certificate(" in inspect.getsource(tls.Context._server_handle_hello)
    assert tls.push_certificate.__module__ == "edgeproxy.quic.handshake"
