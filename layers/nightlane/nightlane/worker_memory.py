"""The memory of infer, which decides what a second of it costs."""

import math

# infer's memory: what it needs itself and for large answers, and for each connection over TLS.
WORKER_MB, MB_PER_REQUEST = 304, 0.8
MIN_WORKER_MB, MEMORY_STEP_MB = 384, 64


def worker_memory(requests_in_flight: int) -> int:
    """The memory of infer in MB. `python -m bench tls` measures it; docs/cost-and-scale.md has the table."""
    needed = WORKER_MB + MB_PER_REQUEST * requests_in_flight
    return max(MIN_WORKER_MB, math.ceil(needed / MEMORY_STEP_MB) * MEMORY_STEP_MB)
