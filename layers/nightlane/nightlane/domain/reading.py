"""Reads and validates the input of a batch, line by line: when it is planned, and by `nightlane estimate`."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from nightlane.api_settings import BatchSizeSettings
from nightlane.domain.grouping import Grouping
from nightlane.domain.line_checks import ErrorList, Invalid, LineChecker
from nightlane.domain.lines import BYTE_ORDER_MARK, Lines, is_blank, split_lines
from nightlane.domain.prefixes import prefix_of
from nightlane.domain.quotas import estimate_prompt_tokens
from nightlane.settings import PlanningSettings


@dataclass(slots=True)
class ReadInput:
    """What is known about an input that was read to its end."""

    lines: Lines = field(default_factory=Lines)
    grouping: Grouping = field(default_factory=Grouping)
    request_bytes: int = 0
    prompt_tokens: int = 0
    """An estimate."""


def check_size(limits: BatchSizeSettings, size: int) -> None:
    """Raises: Invalid, if an input has too many bytes."""
    if size > limits.max_batch_bytes:
        message = (
            f"The batch input file is larger than the {limits.max_batch_bytes} maximum. "
            "Please try again with a smaller batch."
        )
        raise Invalid("invalid_request", message, "file_id")


def read_input(
    limits: PlanningSettings, chunks: Iterable[bytes], checker: LineChecker, errors: ErrorList
) -> ReadInput:
    """Read an input, and add the errors of its lines to `errors`. Raises: Invalid, for the whole input."""
    found = ReadInput()
    for number, (start, line) in enumerate(split_lines(chunks, limits.max_line_bytes), start=1):
        if number == 1 and line is not None and line.startswith(BYTE_ORDER_MARK):
            start, line = start + len(BYTE_ORDER_MARK), line[len(BYTE_ORDER_MARK) :]
        if line is not None and is_blank(line):
            continue
        if len(found.lines) == limits.max_batch_lines:
            message = f"The batch input file has more than the {limits.max_batch_lines} requests allowed."
            raise Invalid("too_many_tasks", message)
        found.lines.add(start, 0 if line is None else len(line))
        try:
            _read_line(limits, line, checker, found)
        except Invalid as error:
            errors.add(error, number)
    if not found.lines:
        message = "The input file is empty. Please ensure that the batch contains at least one request."
        raise Invalid("empty_file", message)
    return found


def _read_line(limits: PlanningSettings, line: bytes | None, checker: LineChecker, found: ReadInput) -> None:
    if line is None:
        message = f"This line is longer than the maximum of {limits.max_line_bytes} bytes."
        raise Invalid("invalid_request", message)
    checked = checker.check(line)
    prefix = prefix_of(checker.endpoint, checked.body) if limits.prefix_order else None
    found.grouping.add(len(line), checked.upstream, prefix)
    found.request_bytes += len(line)
    found.prompt_tokens += estimate_prompt_tokens(checked.body)
