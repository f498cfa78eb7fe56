"""Faults injected into botocore: a call fails, takes effect but loses its response, or is lost."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

import boto3
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError

from infra.home.events import REGION
from nightlane.aws.clients import Clients


class Crash(BaseException):
    """The process dies. No handler catches this."""


class Fault(Enum):
    """What happens to a call."""

    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()
    """The call takes effect, but the process dies before it gets the response."""
    ERROR = auto()
    """The service is too busy, and the call has no effect."""
    REPEATED = auto()
    """The response is lost and the SDK repeats the call: the second response counts."""
    LOST = auto()
    """The service reports success, but the call has no effect."""
    FREEZE = auto()
    """The process is frozen before the call; others take over, and then it continues."""


BUSY = {
    "dynamodb": (400, "ThrottlingException"),
    "s3": (503, "SlowDown"),
    "sqs": (403, "RequestThrottled"),
}
SENDS = ("SendMessage", "SendMessageBatch")
READS = ("GetItem", "BatchGetItem", "Query", "GetObject", "HeadObject")


@dataclass
class Faults:
    """Numbers every AWS call of the handlers, starting at 1, and injects a fault at the chosen one."""

    strike_at: int = 0
    fault: Fault | None = None
    count: int = 0
    names: list[str] = field(default_factory=list)
    dead: bool = False
    after_write: Callable[[], None] = lambda: None
    meanwhile: Callable[[], None] = lambda: None
    """Called while a process is frozen."""
    bare: Clients | None = None
    """Clients without faults, for the call that the SDK repeats."""
    _params: dict[str, Any] = field(default_factory=dict)

    def arm(self, strike_at: int = 0, fault: Fault | None = None) -> None:
        """Restart the count, and inject the fault at call `strike_at`."""
        self.strike_at, self.fault, self.count, self.dead = strike_at, fault, 0, False
        self.names = []

    def session(self) -> boto3.Session:
        """Return a session whose clients are subject to these faults."""
        session = boto3.Session("testing", "testing", region_name=REGION)
        session.events.register("before-parameter-build.*.*", self._remember)
        session.events.register("before-call.*.*", self._before)
        session.events.register("after-call.*.*", self._after)
        return session

    def strike_in(self, calls: int, fault: Fault) -> None:
        """Inject the fault that many calls from now."""
        self.strike_at, self.fault = self.count + calls, fault

    def _remember(self, params: dict[str, Any], **_: Any) -> None:
        self._params = dict(params)

    def _before(self, model: Any, **_: Any) -> Any:
        if self.dead:
            raise Crash
        self.count += 1
        self.names.append(f"{model.service_model.service_name}:{model.name}")
        if self.count != self.strike_at:
            return None
        match self.fault:
            case Fault.CRASH_BEFORE:
                self.dead = True
                raise Crash
            case Fault.ERROR:
                return _busy(model)
            case Fault.LOST:
                return _fake_success(model)
            case Fault.FREEZE:
                self.meanwhile()
        return None

    def _after(self, model: Any, parsed: Any, http_response: Any, **_: Any) -> None:
        if model.service_model.service_name == "dynamodb" and model.name in (
            "UpdateItem",
            "TransactWriteItems",
        ):
            self.after_write()
        if self.count != self.strike_at or self.dead:
            return
        if self.fault is Fault.CRASH_AFTER:
            self.dead = True
            raise Crash
        if self.fault is Fault.REPEATED and model.name not in READS:
            try:
                second = self._repeat(model)
            except ClientError as error:
                second = error.response
                http_response.status_code = second["ResponseMetadata"]["HTTPStatusCode"]
            parsed.clear()
            parsed.update(second)

    def _repeat(self, model: Any) -> Any:
        assert self.bare is not None
        client = getattr(self.bare, model.service_model.service_name)
        return getattr(client, xform_name(model.name))(**self._params)


def _response(status: int) -> AWSResponse:
    return AWSResponse("https://aws.invalid/", status, HTTPHeaders(), None)


def _busy(model: Any) -> tuple[AWSResponse, dict[str, Any]]:
    status, code = BUSY[model.service_model.service_name]
    return _response(status), {"Error": {"Code": code, "Message": "busy"}, "ResponseMetadata": {}}


def _fake_success(model: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
    """Return a success for a send that has no effect; None for any other call."""
    return (_response(200), {"ResponseMetadata": {}}) if model.name in SENDS else None
