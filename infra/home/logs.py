"""Logging to standard error, because scripts read the command's standard output."""

import logging
import sys

from nightlane.observability import logger


def log_to_stderr(level: str) -> None:
    """Log messages of this level and above, including those of the handlers."""
    logging.basicConfig(stream=sys.stderr, level=level, format="%(name)s: %(message)s")
    logger.setLevel(level)
    # Powertools' log handler writes JSON to standard output.
    logging.getLogger(logger.service).handlers.clear()
