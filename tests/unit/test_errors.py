import pytest

from edgeproxy.errors import (
    CertificateError,
    CodingError,
    ConfigError,
    ConnectionFault,
    DownstreamError,
    EdgeError,
    Problem,
    StoreError,
    StreamFault,
    UnavailableError,
    UpstreamError,
    WireError,
    without_frames,
)


@pytest.mark.parametrize(
    ("problem", "line"),
    [
        (Problem("a.toml", 3, "host.0", "no origin"), "a.toml:3: host.0: no origin"),
        (Problem("a.toml", 0, "host.0", "no origin"), "a.toml: host.0: no origin"),
        (Problem("a.toml", 1, "", "not TOML"), "a.toml:1: not TOML"),
        (
            Problem("a.toml", 2, "hots", "unknown", nearest="host"),
            "a.toml:2: hots: unknown (did you mean 'host'?)",
        ),
    ],
)
def test_a_problem_says_where_it_is_and_what_was_probably_meant(problem: Problem, line: str):
    assert str(problem) == line


def test_a_configuration_error_names_every_problem():
    problems = [Problem("a.toml", 1, "x", "bad"), Problem("a.toml", 2, "y", "worse")]
    error = ConfigError(problems)
    assert error.problems == tuple(problems)
    assert str(error) == "a.toml:1: x: bad\na.toml:2: y: worse"


def test_a_downstream_error_carries_the_answer():
    error = DownstreamError(413, "content-too-large")
    assert (error.status, error.reason, error.close) == (413, "content-too-large", False)
    assert str(error) == "413 content-too-large"
    assert DownstreamError(400, "bad-head", close=True).close


def test_an_upstream_error_is_not_tried_again_unless_it_says_so():
    error = UpstreamError("connection_refused", 502)
    assert (error.word, error.status, error.detail) == ("connection_refused", 502, "")
    assert not error.is_retryable
    assert str(error) == "connection_refused"
    assert str(UpstreamError("dns_error", 502, "NXDOMAIN")) == "dns_error: NXDOMAIN"
    assert UpstreamError("connection_terminated", 502, is_retryable=True).is_retryable


def test_a_fault_carries_the_code_of_its_protocol():
    error = ConnectionFault(0xB, "too many resets")
    assert (error.code, error.reason) == (0xB, "too many resets")
    assert str(error) == "too many resets (code 0xb)"


def test_a_stream_fault_names_its_stream_and_ends_no_connection():
    error = StreamFault(5, 0x1, "bad content-length")
    assert (error.stream_id, error.code, error.reason) == (5, 0x1, "bad content-length")
    assert isinstance(error, WireError)
    assert not isinstance(error, ConnectionFault)


@pytest.mark.parametrize(
    "kind",
    [
        ConfigError,
        UnavailableError,
        CertificateError,
        DownstreamError,
        UpstreamError,
        StoreError,
        CodingError,
        WireError,
    ],
)
def test_whatever_is_raised_on_purpose_has_one_root(kind: type[Exception]):
    assert issubclass(kind, EdgeError)


def reset():
    raise OSError("reset")


def cut():
    try:
        reset()
    except OSError as error:
        raise ValueError("payload") from error


def incomplete():
    try:
        cut()
    except ValueError:
        raise UpstreamError("http_response_incomplete", 502)  # noqa: B904 - by context alone


def test_an_error_at_its_end_keeps_neither_its_frames_nor_those_of_its_causes():
    with pytest.raises(UpstreamError) as caught:
        incomplete()
    error = caught.value
    payload = error.__context__
    assert without_frames(error) is error
    assert isinstance(payload, ValueError)
    assert isinstance(payload.__cause__, OSError)  # why is known all the same
    assert [each.__traceback__ for each in (error, payload, payload.__cause__)] == [None] * 3
