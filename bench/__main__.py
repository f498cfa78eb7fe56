"""Run all benchmarks, or those named."""

import sys

from bench import cost, dashboard, memory, scale, throughput

BENCHMARKS = {
    "throughput": throughput.main,
    "memory": memory.main,
    "cost": cost.main,
    "scale": scale.main,
    "dashboard": dashboard.main,
}

for name in sys.argv[1:] or BENCHMARKS:
    BENCHMARKS[name]()
