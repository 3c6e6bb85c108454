"""One TLS connection over memory BIOs: ciphertext in and out, plaintext in and out (RFC 8446).

It owns no socket: `listeners/` moves the bytes. This is the only file that calls pyOpenSSL's `_lib`
for records: its public methods allocate a buffer, and raise an exception for every "no more now":
4.7 against 1.9 µs for 200 bytes in. The calls are guarded by the exact pin of pyOpenSSL in
`pyproject.toml` and by `tests/unit/tls/test_engine.py`.

Invariants: the shared buffers are empty between calls (one thread, and no call is re-entered before
it has copied); a memory BIO never holds more than `DRAIN_BYTES` and a record, since one that grows
halves the throughput.
"""

from collections.abc import Callable
from typing import Any

from OpenSSL import SSL

from edgeproxy.errors import EdgeError

_lib: Any = SSL._lib  # type: ignore[attr-defined]  # noqa: SLF001 - see the module's docstring
_ffi: Any = SSL._ffi  # type: ignore[attr-defined]  # noqa: SLF001

_WANT_READ = _lib.SSL_ERROR_WANT_READ
RECORD_BYTES = 16384
DRAIN_BYTES = 6 * RECORD_BYTES

# A client may ask for new keys as often as it likes (RFC 8446 section 4.6.3), in 27 octets each
# time, which cost us 50 µs. OpenSSL's clients and browsers never do; who does so by volume (Java:
# after 128 GB) needs one or two in the life of a connection.
KEY_UPDATES_MAX = 32
_ACCEPT_EXIT = 0x2002  # SSL_CB_ACCEPT_EXIT: a message of a handshake has been dealt with
_key_updates: dict[int, int] = {}  # of connections that had any; as many as addresses

ciphertext_in = bytearray(4 * RECORD_BYTES)
_plaintext_in = bytearray(2 * RECORD_BYTES)
_ciphertext_out = bytearray(2 * DRAIN_BYTES)
_ciphertext_in_c = _ffi.from_buffer(ciphertext_in)
_plaintext_in_c = _ffi.from_buffer(_plaintext_in)
_ciphertext_out_c = _ffi.from_buffer(_ciphertext_out)
_plaintext_view = memoryview(_plaintext_in)
_ciphertext_view = memoryview(_ciphertext_out)


@_ffi.callback("void (*)(const SSL *, int, int)")  # type: ignore[untyped-decorator]
def _on_message(ssl: Any, where: int, _value: int) -> None:  # noqa: ANN401
    """Count messages behind the handshake: a client has only KeyUpdate to say there."""
    if where == _ACCEPT_EXIT:
        address = _address(ssl)
        count = _key_updates[address] = _key_updates.get(address, 0) + 1
        if count > KEY_UPDATES_MAX:  # the one way to stop `SSL_read` from here
            _lib.SSL_set_shutdown(_ffi.cast("SSL *", ssl), _lib.SSL_RECEIVED_SHUTDOWN)


def _address(ssl: Any) -> int:  # noqa: ANN401
    return int(_ffi.cast("uintptr_t", ssl))


class TlsFault(EdgeError):  # noqa: N818 - like the other faults it says what ends
    """The peer broke TLS, or we refused the handshake; the alert to send is in the output."""


class TlsEngine:
    """The server side of one connection.

    `send` takes ciphertext; it is called from every method that produces some, and must have used
    or copied it when it returns: the view is on a shared buffer.
    """

    __slots__ = (
        "_is_shut",
        "_rbio",
        "_send",
        "_ssl",
        "_wbio",
        "connection",
        "is_established",
        "is_peer_closed",
    )

    def __init__(self, connection: SSL.Connection, send: Callable[[memoryview], object]) -> None:
        raw: Any = connection
        connection.set_accept_state()
        self.connection = connection
        self._send = send
        self._ssl = raw._ssl  # noqa: SLF001 - see the module's docstring
        self._rbio = raw._into_ssl  # noqa: SLF001
        self._wbio = raw._from_ssl  # noqa: SLF001
        # A memory BIO takes everything, so one call may write many records; pyOpenSSL's default is
        # to return after each.
        _lib.SSL_clear_mode(self._ssl, _lib.SSL_MODE_ENABLE_PARTIAL_WRITE)
        self.is_established = False
        self.is_peer_closed = False
        self._is_shut = False

    def handshake(self, size: int) -> bool:
        """Take `size` bytes of `ciphertext_in`; True once the handshake is complete.

        Raises `TlsFault` with OpenSSL's reason when it fails; the alert has been sent.
        """
        _lib.BIO_write(self._rbio, _ciphertext_in_c, size)
        try:
            self.connection.do_handshake()
        except SSL.WantReadError:
            self.drain()
            return False
        except SSL.Error as error:
            self.drain()
            raise TlsFault(_reason(error)) from None
        _lib.ERR_clear_error()  # a ticket that was not ours leaves its reason behind
        self.is_established = True
        _key_updates.pop(_address(self._ssl), None)  # of a connection that was here before
        _lib.SSL_set_info_callback(self._ssl, _on_message)
        self.drain()
        return True

    def read(self, size: int, receive: Callable[[bytes], object]) -> None:
        """Take `size` bytes of `ciphertext_in` and pass on the plaintext, in few pieces.

        Small records are joined: a peer may put every octet into one of its own. `size` is 0 for
        what the handshake left over. Sets `is_peer_closed` at close_notify; raises `TlsFault` when
        the peer broke the record layer.
        """
        if size:
            _lib.BIO_write(self._rbio, _ciphertext_in_c, size)
        at = 0
        while (n := _lib.SSL_read(self._ssl, _plaintext_in_c + at, len(_plaintext_in) - at)) > 0:
            at += n
            if at > len(_plaintext_in) - RECORD_BYTES:
                receive(bytes(_plaintext_view[:at]))
                at = 0
        error = _lib.SSL_get_error(self._ssl, n)  # before `receive` makes other calls
        if error != _WANT_READ:
            _lib.ERR_clear_error()  # the queue is the thread's: it must not reach others
        if at:
            receive(bytes(_plaintext_view[:at]))
        if error == _lib.SSL_ERROR_ZERO_RETURN:
            if _key_updates.pop(_address(self._ssl), 0) > KEY_UPDATES_MAX:
                raise TlsFault("too many key updates")
            self.is_peer_closed = True
        elif error != _WANT_READ:
            self.drain()
            raise TlsFault("record layer broken by the peer")

    def write(self, data: bytes | memoryview) -> None:
        """Encrypt and send all of it."""
        size, start = len(data), _ffi.from_buffer(data)
        for at in range(0, size, DRAIN_BYTES):
            part = min(DRAIN_BYTES, size - at)
            if _lib.SSL_write(self._ssl, start + at, part) != part:
                _lib.ERR_clear_error()
                raise TlsFault("cannot write")
            self.drain()

    def shutdown(self) -> None:
        """Send close_notify (section 6.1), once: a second call would read, and choke on data."""
        if self.is_established and not self._is_shut:
            self._is_shut = True
            _lib.SSL_shutdown(self._ssl)
            _lib.ERR_clear_error()
            self.drain()

    def drain(self) -> None:
        """Send the ciphertext that OpenSSL has produced."""
        while (n := _lib.BIO_read(self._wbio, _ciphertext_out_c, len(_ciphertext_out))) > 0:
            self._send(_ciphertext_view[:n])


def _reason(error: SSL.Error) -> str:
    """Return the last reason of OpenSSL's queue as text."""
    queue = error.args[0] if error.args else None
    return str(queue[-1][2]) if isinstance(queue, list) and queue else "connection closed"
