import itertools

import pytest

from edgeproxy.coding import CodingError
from edgeproxy.coding.decoders import decode
from edgeproxy.coding.encoders import CODINGS, encode
from edgeproxy.coding.recode import Recoder, recode
from edgeproxy.http.codings import IDENTITY

TEXT = b"".join(b"line %d of a text, which is much like the one before\n" % n for n in range(5000))
PAIRS = list(itertools.permutations((*CODINGS, IDENTITY), 2))


def in_coding(body, coding):
    return body if coding == IDENTITY else encode(body, coding, level="fast")


def out_of_coding(body, coding):
    return body if coding == IDENTITY else decode(body, coding, bytes_max=1 << 20)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_body_is_the_same_in_every_coding(source, target):
    body = in_coding(TEXT, source)
    recoded = recode(body, source, target, level="fast", bytes_max=len(TEXT))
    assert out_of_coding(recoded, target) == TEXT


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_body_comes_in_pieces(source, target):
    body = memoryview(in_coding(TEXT, source))
    one = Recoder(source, target, level="fast", bytes_max=len(TEXT))
    pieces = [one.feed(body[at : at + 999]) for at in range(0, len(body), 999)]
    assert out_of_coding(b"".join(pieces) + one.finish(), target) == TEXT


@pytest.mark.parametrize("target", [*CODINGS, IDENTITY])
def test_what_was_fed_leaves_with_a_flush(target):
    source = b"br" if target != b"br" else b"gzip"
    body = in_coding(TEXT, source)
    one = Recoder(source, target, level="fast", bytes_max=len(TEXT))
    flushed = one.feed(body) + one.flush()
    if target != IDENTITY:
        back = Recoder(target, IDENTITY, level="fast", bytes_max=len(TEXT))
        flushed = back.feed(flushed)
    assert flushed == TEXT


@pytest.mark.parametrize("target", [b"zstd", IDENTITY])
def test_a_source_that_is_too_large_broken_or_cut_is_an_error(target):
    body = in_coding(TEXT, b"gzip")
    for broken, bytes_max in ((body, len(TEXT) - 1), (b"x" + body, 1 << 20), (body[:-1], 1 << 20)):
        with pytest.raises(CodingError):
            recode(broken, b"gzip", target, level="fast", bytes_max=bytes_max)


@pytest.mark.parametrize("target", CODINGS)
def test_where_a_body_comes_from_makes_no_difference(target):
    sources = [source for source in (*CODINGS, IDENTITY) if source != target]
    recoded = {
        recode(in_coding(TEXT, source), source, target, level="fast", bytes_max=len(TEXT))
        for source in sources
    }
    assert len(recoded) == 1


def test_the_bound_is_for_what_is_decoded():
    assert recode(TEXT, IDENTITY, b"br", level="fast", bytes_max=0)


@pytest.mark.parametrize("coding", [*CODINGS, IDENTITY, b"deflate"])
def test_recoding_into_the_same_coding_is_a_mistake(coding):
    with pytest.raises(ValueError, match="into itself"):
        recode(b"", coding, coding, level="fast", bytes_max=1)


def test_a_coding_that_is_not_known_is_a_mistake():
    with pytest.raises(ValueError, match="no encoder"):
        Recoder(IDENTITY, b"deflate", level="fast", bytes_max=1)
    with pytest.raises(ValueError, match="no decoder"):
        Recoder(b"deflate", IDENTITY, level="fast", bytes_max=1)
