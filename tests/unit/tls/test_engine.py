import random
import re
import tomllib
from pathlib import Path

import OpenSSL
import pytest
from OpenSSL import SSL

from bench.floods.peer import KeyUpdates
from edgeproxy.tls import engine as engine_module
from edgeproxy.tls.contexts import FrontContext
from edgeproxy.tls.engine import (
    DRAIN_BYTES,
    KEY_UPDATES_MAX,
    RECORD_BYTES,
    TlsFault,
    ciphertext_in,
)
from edgeproxy.tls.identity import load_identity
from tests.support.ca import LocalCa
from tests.support.handshake import client_context
from tests.support.tls_engine import EnginePair

ROOT = Path(__file__).resolve().parents[3]
SIZES = [1, 100, RECORD_BYTES - 1, RECORD_BYTES, RECORD_BYTES + 1, DRAIN_BYTES, 200_000]


@pytest.fixture(scope="module")
def front(tmp_path_factory) -> FrontContext:
    leaf = LocalCa(tmp_path_factory.mktemp("ca")).issue("localhost")
    return FrontContext([load_identity([leaf.files])])


@pytest.fixture
def fresh(front: FrontContext) -> EnginePair:
    return EnginePair(front.new_connection())


@pytest.fixture
def pair(fresh: EnginePair) -> EnginePair:
    return fresh.shake_hands()


def pattern(size: int) -> bytes:
    return random.Random(size).randbytes(size)


# --- the contract with pyOpenSSL ----------------------------------------------------------------


def test_pyopenssl_is_the_version_that_these_calls_were_read_in():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"pyOpenSSL=={OpenSSL.__version__}" in project["dependencies"]


def test_every_name_of_the_library_that_we_use_is_there():
    source = Path(engine_module.__file__).read_text()
    names = set(re.findall(r"_lib\.(\w+)", source))
    assert {"SSL_read", "SSL_write", "BIO_read", "BIO_write", "SSL_get_error"} <= names
    missing = [name for name in sorted(names) if not hasattr(engine_module._lib, name)]
    assert missing == []


def test_a_connection_has_its_library_objects(front: FrontContext):
    connection = front.new_connection()
    for name in ("_ssl", "_into_ssl", "_from_ssl"):
        assert isinstance(getattr(connection, name), engine_module._ffi.CData), name


def test_partial_writes_are_off_so_that_a_call_makes_every_record(pair: EnginePair):
    data = engine_module._ffi.from_buffer(bytes(100_000))
    written = engine_module._lib.SSL_write(pair.engine._ssl, data, 100_000)
    assert written == 100_000


def test_an_empty_bio_says_so_without_an_error(fresh: EnginePair):
    out = engine_module._ciphertext_out_c
    assert engine_module._lib.BIO_read(fresh.engine._wbio, out, 100) <= 0
    assert engine_module._lib.ERR_peek_error() == 0


# --- handshakes ---------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", [1, 7, 100, 65536])
def test_a_handshake_however_its_bytes_are_cut(fresh: EnginePair, cut: int):
    fresh.shake_hands(cut=cut)
    fresh.feed(fresh.send(b"ping"))
    assert fresh.plaintext == b"ping"
    fresh.engine.write(b"pong")
    assert fresh.received() == b"pong"
    assert fresh.client.get_protocol_version_name() == "TLSv1.3"


def test_plaintext_may_come_with_the_end_of_the_handshake(fresh: EnginePair):
    with pytest.raises(SSL.WantReadError):
        fresh.client.do_handshake()
    fresh.feed(fresh.from_client())
    fresh.carry()
    fresh.client.do_handshake()
    fresh.client.send(b"early bird")
    fresh.feed(fresh.from_client())
    assert fresh.engine.is_established
    assert fresh.plaintext == b"early bird"


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", bytes(100), b"\x16\x03\x01\x00\x05junk!"]
)
def test_junk_is_no_handshake(fresh: EnginePair, junk: bytes):
    with pytest.raises(TlsFault) as caught:
        fresh.feed(junk)
    assert str(caught.value)
    assert not fresh.engine.is_established
    assert engine_module._lib.ERR_peek_error() == 0


def test_an_alert_tells_the_client_why(front: FrontContext):
    context = client_context()
    context.set_max_proto_version(SSL.TLS1_2_VERSION)
    pair = EnginePair(front.new_connection(), context=context)
    with pytest.raises(TlsFault, match="protocol"):
        pair.shake_hands()
    pair.carry()
    with pytest.raises(SSL.Error, match="alert"):
        pair.client.do_handshake()


def test_a_reason_that_somebody_left_behind_does_not_reach_a_connection(fresh: EnginePair):
    lib = engine_module._lib
    with pytest.raises(SSL.WantReadError):
        fresh.client.do_handshake()
    fresh.feed(fresh.from_client())
    fresh.carry()
    fresh.client.do_handshake()
    finished = fresh.from_client()
    assert lib.BIO_new_file(b"/nowhere/at/all", b"r") == engine_module._ffi.NULL
    assert lib.ERR_peek_error() != 0
    fresh.feed(finished)
    assert lib.ERR_peek_error() == 0
    fresh.feed(fresh.send(b"fine"))
    assert fresh.plaintext == b"fine"


# --- records ------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, memoryview, bytearray])
def test_what_is_written_arrives(pair: EnginePair, size: int, kind: type):
    data = pattern(size)
    pair.sends.clear()
    pair.engine.write(kind(data))
    assert max(pair.sends) <= DRAIN_BYTES + 5 * 64
    assert pair.received() == data


def test_nothing_written_is_nothing_sent(pair: EnginePair):
    pair.sends.clear()
    pair.engine.write(b"")
    assert pair.sends == []


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sent_is_read_in_bounded_pieces(pair: EnginePair, size: int):
    data = pattern(size)
    pair.feed(pair.send(data))
    assert pair.plaintext == data
    assert all(len(piece) <= 2 * RECORD_BYTES for piece in pair.read)
    assert all(type(piece) is bytes for piece in pair.read)


def test_small_records_are_joined(pair: EnginePair):
    data = pattern(2000)
    pair.feed(b"".join(pair.send(data[at : at + 1]) for at in range(len(data))))
    assert pair.read == [data]


def test_what_came_before_a_forged_record_is_read(pair: EnginePair):
    good, forged = pair.send(b"good"), bytearray(pair.send(b"forged"))
    forged[-1] ^= 1
    with pytest.raises(TlsFault):
        pair.feed(good + bytes(forged))
    assert pair.read == [b"good"]


def test_records_however_they_are_cut(pair: EnginePair):
    random_ = random.Random(1)
    data = pattern(300_000)
    wire, at = pair.send(data), 0
    while at < len(wire):
        size = random_.choice([1, 5, 21, 1000, 20_000, len(ciphertext_in)])
        pair.feed(wire[at : at + size])
        at += size
    assert pair.plaintext == data


def test_both_directions_at_random_sizes(pair: EnginePair):
    random_ = random.Random(2)
    there, back, got = bytearray(), bytearray(), bytearray()
    for _ in range(200):
        data = random_.randbytes(random_.choice([1, 17, 1400, 16384, 40_000]))
        if random_.random() < 0.5:
            there += data
            pair.feed(pair.send(data))
        else:
            back += data
            pair.engine.write(data)
            got += pair.received()
    assert pair.plaintext == there
    assert got == back


def test_two_connections_share_buffers_and_nothing_else(front: FrontContext):
    pairs = [EnginePair(front.new_connection()).shake_hands() for _ in range(2)]
    wires = [pair.send(bytes([number]) * 50_000) for number, pair in enumerate(pairs)]
    for at in range(0, 51_000, 1000):
        for pair, wire in zip(pairs, wires, strict=True):
            pair.feed(wire[at : at + 1000])
    for number, pair in enumerate(pairs):
        assert pair.plaintext == bytes([number]) * 50_000


def test_a_receiver_may_write_while_it_reads(pair: EnginePair):
    wire = pair.send(bytes(100_000))
    for at in range(0, len(wire), 50_000):
        piece = wire[at : at + 50_000]
        ciphertext_in[: len(piece)] = piece
        pair.engine.read(len(piece), pair.engine.write)
    assert pair.received() == bytes(100_000)


def test_a_receiver_may_say_goodbye_while_it_reads(pair: EnginePair):
    seen: list[bytes] = []

    def receive(record: bytes) -> None:
        seen.append(record)
        pair.engine.shutdown()

    wire = pair.send(bytes(40_000))
    ciphertext_in[: len(wire)] = wire
    pair.engine.read(len(wire), receive)
    assert sum(map(len, seen)) == 40_000
    pair.carry()
    with pytest.raises(SSL.ZeroReturnError):
        pair.client.recv(1)


def test_a_truncated_record_waits(pair: EnginePair):
    wire = pair.send(b"hello")
    pair.feed(wire[:-1])
    assert pair.read == []
    pair.feed(wire[-1:])
    assert pair.plaintext == b"hello"


@pytest.mark.parametrize("at", [0, 3, 5, -1])
def test_a_forged_record_ends_the_connection(front: FrontContext, at: int):
    pair, other = (EnginePair(front.new_connection()).shake_hands() for _ in range(2))
    wire = bytearray(pair.send(b"hello"))
    wire[at] ^= 0x55
    with pytest.raises(TlsFault, match="record layer"):
        pair.feed(bytes(wire))
    assert pair.read == []
    assert engine_module._lib.ERR_peek_error() == 0
    with pytest.raises(TlsFault):
        pair.engine.write(b"too late")
    other.feed(other.send(b"still here"))
    assert other.plaintext == b"still here"


def test_a_forged_record_is_answered_with_an_alert(pair: EnginePair):
    wire = bytearray(pair.send(b"hello"))
    wire[-1] ^= 1
    with pytest.raises(TlsFault):
        pair.feed(bytes(wire))
    with pytest.raises(SSL.Error, match="bad record mac"):
        pair.received()


# --- the end ------------------------------------------------------------------------------------


def updates_of(pair: EnginePair) -> KeyUpdates:
    """Make KeyUpdates in the client's place; nothing else can be said on this connection then."""
    line = next(each for each in pair.key_log if each.startswith("CLIENT_TRAFFIC_SECRET_0"))
    return KeyUpdates(bytes.fromhex(line.split()[2]))


def test_a_few_key_updates_are_obeyed(pair: EnginePair):
    updates = updates_of(pair)
    for _ in range(KEY_UPDATES_MAX // 2):
        pair.feed(updates.records(1))
    assert not pair.engine.is_peer_closed


def test_a_flood_of_key_updates_ends_the_connection(pair: EnginePair):
    updates = updates_of(pair)
    with pytest.raises(TlsFault, match="key updates"):
        pair.feed(updates.records(KEY_UPDATES_MAX + 1))
    assert not pair.engine.is_peer_closed
    assert engine_module._address(pair.engine._ssl) not in engine_module._key_updates


def test_key_updates_count_for_their_own_connection(front: FrontContext):
    pairs = [EnginePair(front.new_connection()) for _ in range(2)]
    for each in pairs:
        each.shake_hands()
    for each in pairs:
        each.feed(updates_of(each).records(KEY_UPDATES_MAX // 2))


def test_close_notify_closes_one_direction(pair: EnginePair):
    wire = pair.send(b"last words")
    pair.client.shutdown()
    pair.feed(wire + pair.from_client())
    assert pair.plaintext == b"last words"
    assert pair.engine.is_peer_closed
    pair.engine.write(b"answer")
    pair.carry()
    assert engine_module._lib.ERR_peek_error() == 0


def test_shutdown_sends_close_notify_once(pair: EnginePair):
    pair.sends.clear()
    pair.engine.shutdown()
    assert len(pair.sends) == 1
    pair.engine.shutdown()
    assert len(pair.sends) == 1
    pair.carry()
    with pytest.raises(SSL.ZeroReturnError):
        pair.client.recv(1)


def test_nothing_can_be_written_behind_close_notify(pair: EnginePair):
    pair.engine.shutdown()
    with pytest.raises(TlsFault):
        pair.engine.write(b"late")
    assert engine_module._lib.ERR_peek_error() == 0


def test_shutdown_before_the_handshake_says_nothing(fresh: EnginePair):
    fresh.engine.shutdown()
    assert fresh.sends == []


def test_writing_before_the_handshake_is_a_fault(fresh: EnginePair):
    with pytest.raises(TlsFault):
        fresh.engine.write(b"early")


def test_a_reason_has_words_even_without_a_queue():
    assert engine_module._reason(SSL.Error()) == "connection closed"
    assert engine_module._reason(SSL.SysCallError(-1, "Unexpected EOF")) == "connection closed"
    assert engine_module._reason(SSL.Error([("", "", "no shared cipher")])) == "no shared cipher"
