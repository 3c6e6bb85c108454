"""Sets up the application log: what the product says about itself, not about requests.

Must not be used on the way of a hit. One handler on the `edgeproxy` logger, nothing on the root:
libraries keep their own counsel unless they warn.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

Style = Literal["auto", "console", "json"]


class JsonFormatter(logging.Formatter):
    """One JSON object per record."""

    def format(self, record: logging.LogRecord) -> str:
        """Render the record; an exception becomes one more member."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        members: dict[str, object] = {
            "time": moment,
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            members["exception"] = self.formatException(record.exc_info)
        return json.dumps(members)


def configure(
    level: str = "info", style: Style = "auto", *, stream: TextIO | None = None
) -> logging.Logger:
    """Send the `edgeproxy` logger's records to `stream` (standard error by default).

    `auto` writes for people on a terminal and JSON anywhere else. Calling it again replaces what
    an earlier call set up.
    """
    target = sys.stderr if stream is None else stream
    handler = logging.StreamHandler(target)
    is_console = style == "console" or (style == "auto" and target.isatty())
    handler.setFormatter(
        logging.Formatter("%(asctime)s %(levelname)-7s %(name)s: %(message)s", "%H:%M:%S")
        if is_console
        else JsonFormatter()
    )
    logger = logging.getLogger("edgeproxy")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False
    return logger
