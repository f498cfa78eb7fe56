"""Run all benchmarks, or those named."""

import sys

from bench import cost, memory, throughput

BENCHMARKS = {"throughput": throughput.main, "memory": memory.main, "cost": cost.main}

for name in sys.argv[1:] or BENCHMARKS:
    BENCHMARKS[name]()
