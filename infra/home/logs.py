"""Where the processes of the home log to: standard error, for standard output has what scripts read."""

import logging
import sys

from nightlane.observability import logger


def log_to_stderr(level: str) -> None:
    """From that level on, the handlers' own log included."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(name)s: %(message)s")
    logger.setLevel(level)
    # Powertools' handler writes JSON to standard output.
    logging.getLogger(logger.service).handlers.clear()
