"""Settings of every test."""

import os
from pathlib import Path

from tests.rig.accesses import RECORD

# Thousands of handlers run in one process; their logs would hide what failed.
os.environ.setdefault("POWERTOOLS_LOG_LEVEL", "CRITICAL")
# What handlers ask of IAM is written down here, for tests/infra/policies.py.
AWS_CALLS = str(Path(__file__).parents[1] / ".build" / "aws-calls")
os.environ.setdefault(RECORD, AWS_CALLS)
