"""Faults at botocore: a call fails, takes effect but loses its answer, or is lost."""

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
    """The process is gone. No handler catches it."""


class Fault(Enum):
    """What happens to a call."""

    CRASH_BEFORE = auto()
    CRASH_AFTER = auto()
    """It took effect; the process never saw the answer."""
    ERROR = auto()
    """The service answers that it is too busy, and it has no effect."""
    REPEATED = auto()
    """The answer was lost on the way, and the SDK asked again: the second answer counts."""
    LOST = auto()
    """The service answers as if, and it has no effect."""
    FREEZE = auto()
    """The process stands still before the call; others take over, and then it goes on."""


BUSY = {
    "dynamodb": (400, "ThrottlingException"),
    "s3": (503, "SlowDown"),
    "sqs": (403, "RequestThrottled"),
}
SENDS = ("SendMessage", "SendMessageBatch")
READS = ("GetItem", "BatchGetItem", "Query", "GetObject", "HeadObject")


@dataclass
class Faults:
    """Numbers every AWS call of the handlers, from 1, and strikes where it is told to."""

    strike_at: int = 0
    fault: Fault | None = None
    count: int = 0
    names: list[str] = field(default_factory=list)
    dead: bool = False
    after_write: Callable[[], None] = lambda: None
    meanwhile: Callable[[], None] = lambda: None
    """What happens while a process is frozen."""
    bare: Clients | None = None
    """Clients without faults, for the SDK's second try."""
    _asked: dict[str, Any] = field(default_factory=dict)

    def arm(self, strike_at: int = 0, fault: Fault | None = None) -> None:
        """Count anew, and strike there."""
        self.strike_at, self.fault, self.count, self.dead = strike_at, fault, 0, False
        self.names = []

    def session(self) -> boto3.Session:
        """A session whose clients are under these faults."""
        session = boto3.Session("testing", "testing", region_name=REGION)
        session.events.register("before-parameter-build.*.*", self._remember)
        session.events.register("before-call.*.*", self._before)
        session.events.register("after-call.*.*", self._after)
        return session

    def strike_in(self, calls: int, fault: Fault) -> None:
        """Strike that many calls from now."""
        self.strike_at, self.fault = self.count + calls, fault

    def _remember(self, params: dict[str, Any], **_: Any) -> None:
        self._asked = dict(params)

    def _before(self, model: Any, params: Any, **_: Any) -> Any:
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
                return _as_if(model, params)
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
                again = self._repeat(model)
            except ClientError as error:
                again = error.response
                http_response.status_code = again["ResponseMetadata"]["HTTPStatusCode"]
            parsed.clear()
            parsed.update(again)

    def _repeat(self, model: Any) -> Any:
        assert self.bare is not None
        client = getattr(self.bare, model.service_model.service_name)
        return getattr(client, xform_name(model.name))(**self._asked)


def _response(status: int) -> AWSResponse:
    return AWSResponse("https://aws.invalid/", status, HTTPHeaders(), None)


def _busy(model: Any) -> tuple[AWSResponse, dict[str, Any]]:
    status, code = BUSY[model.service_model.service_name]
    return _response(status), {"Error": {"Code": code, "Message": "busy"}, "ResponseMetadata": {}}


def _as_if(model: Any, params: Any) -> tuple[AWSResponse, dict[str, Any]] | None:
    """An answer to a send that never arrived."""
    return (_response(200), {"ResponseMetadata": {}}) if model.name in SENDS else None
