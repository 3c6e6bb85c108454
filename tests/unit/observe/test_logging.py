import io
import json
import logging

import pytest

from edgeproxy.observe.logging import configure


@pytest.fixture(autouse=True)
def _restore():
    logger = logging.getLogger("edgeproxy")
    before = (logger.handlers[:], logger.level, logger.propagate)
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def test_away_from_a_terminal_records_are_json() -> None:
    logger = configure("info", stream=(stream := io.StringIO()))
    logging.getLogger("edgeproxy.edge").info("stored %d", 3)
    logger.debug("not this")
    record = json.loads(stream.getvalue())
    assert record["message"] == "stored 3"
    assert record["level"] == "info"
    assert record["logger"] == "edgeproxy.edge"


def test_an_exception_is_a_member() -> None:
    logger = configure("info", "json", stream=(stream := io.StringIO()))
    try:
        int("broken")
    except ValueError:
        logger.exception("it failed")
    assert "ValueError: invalid literal" in json.loads(stream.getvalue())["exception"]
    assert stream.getvalue().count("\n") == 1


def test_people_get_a_line() -> None:
    logger = configure("warning", "console", stream=(stream := io.StringIO()))
    logger.info("not this")
    logger.warning("this")
    assert stream.getvalue().endswith("WARNING edgeproxy: this\n")


def test_a_terminal_is_for_people() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    configure("info", "auto", stream=(stream := Terminal())).info("hello")
    assert stream.getvalue().endswith("INFO    edgeproxy: hello\n")


def test_setting_up_twice_writes_once() -> None:
    configure("info", "json", stream=io.StringIO())
    configure("info", "json", stream=(stream := io.StringIO())).info("x")
    assert stream.getvalue().count("\n") == 1
