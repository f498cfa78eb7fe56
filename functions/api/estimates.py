"""/v1/batches/limits and …/estimate, extensions: what an input may have, and what its batch would take."""

from functions.api.http import Request, Response, json_response
from functions.api.operation import Operation
from functions.api.quotas import quota_of
from functions.api.routing import Routes
from nightlane.api_settings import ApiSettings, PaceSettings
from nightlane.domain.estimates import route_requests
from nightlane.domain.ports import Ports
from nightlane.wire import estimates
from nightlane.wire.requests import read, read_json


def routes(ports: Ports[ApiSettings]) -> Routes:
    router = Routes()
    settings = ports.settings
    # Only on AWS are there queues with URLs.
    is_billed = bool(settings.plan_queue_url)

    @router.get(
        "/batches/limits",
        Operation("retrieveBatchLimits", "Retrieve what is checked in an input", returns=estimates.Limits),
    )
    def limits(_: Request) -> Response:
        return json_response(estimates.limits_object(settings))

    @router.post(
        "/batches/estimate",
        Operation(
            "estimateBatch",
            "Estimate the duration and the bill of a batch",
            body=estimates.EstimateBatch,
            returns=estimates.Estimate,
        ),
    )
    def estimate(request: Request) -> Response:
        # Imported here, because the api's cold start counts and this is rarely asked for.
        from nightlane.aws.estimates import Requests, expect

        body = read(estimates.EstimateBatch, read_json(request.body), settings.extra_endpoints)
        models = [each.to_domain() for each in body.models]
        routed = route_requests(settings, body.endpoint, models, quota_of(request, settings))
        # One machine stores results every second; AWS would not.
        paced = settings if is_billed else settings.model_copy(update=PaceSettings().model_dump())
        requests = Requests(
            sum(each.requests for each in models),
            sum(each.input_bytes for each in models),
            body.seconds_per_request,
            body.answer_bytes,
        )
        found = expect(paced, routed.used_or(settings.upstreams[0].name), requests, routed.max_in_flight)
        return json_response(
            estimates.estimate_object(
                models,
                routed,
                found.costs,
                requests_in_flight=found.requests_in_flight,
                seconds=found.run.seconds,
                is_billed=is_billed,
            )
        )

    return router
