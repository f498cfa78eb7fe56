"""Settings of every test."""

import os

# Thousands of handlers run in one process; their logs would hide what failed.
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
