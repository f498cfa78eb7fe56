"""The bill for a million requests beside a design with a message for each line, in closed form.

In that design each line is an SQS message, one invocation of a function that waits for its answer, one table
write for its state, and one S3 object for its result. It is priced as low as possible: messages are sent,
received and deleted ten at a time, the function has the smallest memory, and starts, polls and assembling the
output file cost nothing.
"""

from bench.bill import bill, billed_shape
from bench.result import Chart, Figure, Result
from bench.tables import IN_FLIGHT, LATENCIES
from nightlane.aws import prices
from nightlane.aws.queues import MAX_ENTRIES_PER_SEND

SMALLEST_MEMORY_MB = 128
# Send, receive and delete.
REQUESTS_PER_MESSAGE = 3


def calls_of_a_line() -> dict[str, float]:
    """US dollars for what a line takes in that design, however long it is, by service."""
    return {
        "SQS": REQUESTS_PER_MESSAGE * prices.SQS_REQUEST / MAX_ENTRIES_PER_SEND,
        "Lambda requests": prices.LAMBDA_REQUEST,
        "DynamoDB": prices.DYNAMODB_WRITE_UNIT,
        "S3": prices.S3_PUT,
    }


def message_a_line(latency: float) -> float:
    """US dollars for one line whose answer takes `latency` seconds."""
    waiting = prices.lambda_price(0, latency, SMALLEST_MEMORY_MB)
    return sum(calls_of_a_line().values()) + waiting


def measure(_max_lines: int) -> Result:
    """US dollars per million requests, by latency and by requests in flight."""
    by_limit = {
        f"Nightlane, {limit} in flight": [sum(bill(billed_shape(each, limit)).values()) for each in LATENCIES]
        for limit in IN_FLIGHT
    }
    calls = sum(calls_of_a_line().values()) * prices.MILLION
    others = {
        "one message a line": [message_a_line(each) * prices.MILLION for each in LATENCIES],
        "the same, without waiting": [calls] * len(LATENCIES),
    }
    series = {**by_limit, **others}
    figures = [
        Figure(f"{name}: answers of {latency:g} s", value, "$/million")
        for name, values in series.items()
        for latency, value in zip(LATENCIES, values, strict=True)
    ]
    text = "Model, batches of 10,000 lines, list prices of us-east-1."
    chart = Chart(
        "The bill",
        "US dollars per million",
        0,
        0,
        14,
        10,
        False,
        series,
        LATENCIES,
        "seconds per answer",
        True,
    )
    return Result(figures, [chart], text)
