"""The Huffman code of HPACK and QPACK (RFC 7541 section 5.2 and appendix B).

Knows nothing of fields or error codes: whether bad coding ends a connection is the caller's say.

The code is canonical, so the lengths of appendix B determine it: codes count upwards within one
length, in the order of the symbols. Decoding walks a state machine a byte at a time. A state is the
beginning of a code that the bytes so far have left unfinished; what follows it is worked out when
it is first visited, so importing costs nothing and ordinary text, which visits few states, stays
cheap. There are 256 states of 256 bytes, some 4 MB: no peer can make us remember more.
"""

from itertools import pairwise
from typing import Final

EOS: Final = 256

# Appendix B: the bits of each symbol's code, EOS last.
# fmt: off
CODE_LENGTHS: Final = (
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
)
# fmt: on


def _canonical_codes() -> tuple[int, ...]:
    codes = [0] * len(CODE_LENGTHS)
    order = sorted(range(len(CODE_LENGTHS)), key=lambda symbol: (CODE_LENGTHS[symbol], symbol))
    for before, symbol in pairwise(order):
        longer_by = CODE_LENGTHS[symbol] - CODE_LENGTHS[before]
        codes[symbol] = (codes[before] + 1) << longer_by
    return tuple(codes)


CODES: Final = _canonical_codes()
_CODED: Final = tuple(
    f"{code:0{length}b}" for code, length in zip(CODES[:EOS], CODE_LENGTHS[:EOS], strict=True)
)
_SYMBOLS: Final = {
    (length, code): symbol
    for symbol, (length, code) in enumerate(zip(CODE_LENGTHS, CODES, strict=True))
}


# A state's row: for each next byte the row of the state after it and the text it completes. Rows
# are plain lists, empty until first visited: the interpreter has its fastest path for those. The
# end of the input is one more symbol, which leads from bits that are padding to `_ACCEPTED`.
_Row = list[tuple["_Row", bytes]]
_END: Final = 256
_ACCEPTED: Final[_Row] = []
_REFUSED: Final[_Row] = []
_REFUSED.extend([(_REFUSED, b"")] * (_END + 1))

_State = tuple[int, int]  # the unfinished code: how many bits, and their value
_START: Final[_State] = (0, 0)
_DEAD: Final[_State] = (EOS, EOS)
_ROWS: Final[dict[_State, _Row]] = {_START: [], _DEAD: _REFUSED}
_STATES: Final[dict[int, _State]] = {id(_ROWS[_START]): _START}


def _step(state: _State, text: bytes, bit: int) -> tuple[_State, bytes]:
    if state == _DEAD:
        return state, text
    state = state[0] + 1, state[1] << 1 | bit
    symbol = _SYMBOLS.get(state)
    if symbol is None:
        return state, text
    return (_DEAD, b"") if symbol == EOS else (_START, text + bytes((symbol,)))


def _row_of(state: _State) -> _Row:
    row = _ROWS.get(state)
    if row is None:
        row = _ROWS[state] = []
        _STATES[id(row)] = state
    return row


def _fill(row: _Row) -> None:
    """Work out what follows a state, bit by bit: after eight there are 256 outcomes, in order."""
    length, code = state = _STATES[id(row)]
    outcomes = [(state, b"")]
    for _ in range(8):
        outcomes = [_step(*outcome, bit) for outcome in outcomes for bit in (0, 1)]
    is_padding = length < 8 and code == (1 << length) - 1
    row += [(_row_of(after), text) for after, text in outcomes]
    row.append((_ACCEPTED if is_padding else _REFUSED, b""))


def decode(coded: bytes) -> bytes | None:
    """Return the text, or None where `coded` holds EOS or does not end in right padding."""
    while True:
        row = _ROWS[_START]
        pieces: list[bytes] = []
        keep = pieces.append
        try:
            for byte in coded:
                row, text = row[byte]
                keep(text)
            return b"".join(pieces) if row[_END][0] is _ACCEPTED else None
        except IndexError:
            _fill(row)  # the first visit ever: start again, the state is there now


def encode(text: bytes) -> bytes:
    """Return the coding of `text`, padded with the beginning of EOS."""
    bits = "".join(map(_CODED.__getitem__, text))
    bits += "1" * (-len(bits) % 8)
    return int("0" + bits, 2).to_bytes(len(bits) // 8, "big")


def encoded_length(text: bytes) -> int:
    """Return the octets that `encode` would make."""
    return (sum(map(CODE_LENGTHS.__getitem__, text)) + 7) // 8
