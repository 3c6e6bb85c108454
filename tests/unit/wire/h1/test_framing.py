import pytest

from edgeproxy.errors import DownstreamError
from edgeproxy.wire.h1.framing import CHUNKED, NO_CONTENT, Framing, framing_of


def test_without_either_there_is_no_content() -> None:
    assert framing_of([], [], version=b"1.1") is NO_CONTENT


@pytest.mark.parametrize(("value", "length"), [(b"0", 0), (b"12", 12), (b"0012", 12)])
def test_content_length(value: bytes, length: int) -> None:
    assert framing_of([value], [], version=b"1.1") == Framing(content_length=length)


@pytest.mark.parametrize("codings", [[b"chunked"], [b"CHUNKED"], [b" \tchunked"]])
def test_chunked(codings: list[bytes]) -> None:
    assert framing_of([], codings, version=b"1.1") is CHUNKED


@pytest.mark.parametrize(
    "lengths",
    [[b"5", b"5"], [b"5", b"6"], [b"5, 5"], [b"+5"], [b""], [b"5 "], [b"5\x0b"], [b"1e1"],
     [b"9" * 19], ["\N{ARABIC-INDIC DIGIT ONE}".encode()]],
)  # fmt: skip
def test_a_doubtful_length_is_refused(lengths: list[bytes]) -> None:
    with pytest.raises(DownstreamError) as caught:
        framing_of(lengths, [], version=b"1.1")
    assert (caught.value.status, caught.value.close) == (400, True)


@pytest.mark.parametrize(
    ("codings", "status"),
    [
        ([b"gzip, chunked"], 501),
        ([b"gzip", b"chunked"], 501),
        ([b", chunked"], 501),
        ([b"foo;q=1, chunked"], 501),
        ([b"chunked, gzip"], 400),
        ([b"chunked", b"identity"], 400),
        ([b"chunked, chunked"], 400),
        ([b"chunked,"], 400),
        ([b"identity"], 400),
        ([b""], 400),
        ([b"\x0bchunked"], 400),
        ([b"xchunked"], 400),
        ([b'"chunked"'], 400),
        ([b"chunked;a=b"], 400),
    ],
)
def test_any_other_coding_is_refused(codings: list[bytes], status: int) -> None:
    with pytest.raises(DownstreamError) as caught:
        framing_of([], codings, version=b"1.1")
    assert (caught.value.status, caught.value.close) == (status, True)


def test_both_are_refused() -> None:
    with pytest.raises(DownstreamError, match="400 transfer-encoding-and-content-length"):
        framing_of([b"5"], [b"chunked"], version=b"1.1")


def test_a_coding_in_http_1_0_is_refused() -> None:
    with pytest.raises(DownstreamError, match=r"400 transfer-encoding-in-http-1\.0"):
        framing_of([], [b"chunked"], version=b"1.0")
