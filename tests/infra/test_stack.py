"""The stack's template: concurrency, queues, storage, access."""

import json

import pytest

from infra.gateway import GATEWAY_RESPONSES, PUBLIC_PATHS
from infra.resources import DEAD_LETTER_QUEUES, QUEUES, functions
from nightlane.api_settings import MIB
from nightlane.domain.window import MAX_WINDOW_SECONDS
from nightlane.settings import Settings
from tests.infra.conftest import Synthesise, Template, as_list

pytestmark = pytest.mark.xdist_group("cdk")
FUNCTIONS = tuple(spec.name for spec in functions(Settings()))


@pytest.mark.parametrize(
    ("batches", "requests", "per_worker", "concurrency"),
    [(1, 10, 100, 2), (4, 100, 100, 8), (3, 250, 100, 18), (10, 1_000, 10, 1_000)],
)
def test_the_workers_reserved_concurrency_equals_that_of_its_event_source(
    synthesise: Synthesise, batches: int, requests: int, per_worker: int, concurrency: int
) -> None:
    template = synthesise(
        max_concurrent_batches=batches,
        max_concurrent_requests_per_batch=requests,
        requests_in_flight_per_worker=per_worker,
    )
    assert template.function("infer")["ReservedConcurrentExecutions"] == concurrency
    (mapping,) = template.mappings("infer")
    assert mapping["ScalingConfig"]["MaximumConcurrency"] == concurrency
    assert mapping["BatchSize"] == 1
    assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_the_planners_disk_holds_the_largest_batch(template: Template, synthesise: Synthesise) -> None:
    assert template.function("plan")["EphemeralStorage"] == {"Size": 512}
    larger = synthesise(max_batch_bytes=1_024 * MIB)
    assert larger.function("plan")["EphemeralStorage"]["Size"] >= 1_024


def test_only_the_worker_reports_failures_of_single_messages(template: Template) -> None:
    reporting = {
        name for name in FUNCTIONS for each in template.mappings(name) if "FunctionResponseTypes" in each
    }
    assert reporting == {"infer"}


def test_no_concurrency_is_reserved_if_the_account_has_too_little(synthesise: Synthesise) -> None:
    template = synthesise(reserve_concurrency=False)
    assert "ReservedConcurrentExecutions" not in json.dumps(template.body)
    assert template.mappings("infer")[0]["ScalingConfig"]["MaximumConcurrency"] == 2


def test_a_queues_visibility_timeout_exceeds_the_timeout_of_its_function(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    mapped = 0
    for name in FUNCTIONS:
        for mapping in template.mappings(name):
            queue = queues[mapping["EventSourceArn"]["Fn::GetAtt"][0]]
            assert queue["VisibilityTimeout"] > template.function(name)["Timeout"]
            mapped += 1
    assert mapped == len(queues) == len(QUEUES) + len(DEAD_LETTER_QUEUES)


def test_every_queue_has_a_dead_letter_queue_and_every_dead_letter_is_processed(template: Template) -> None:
    queues = template.of_type("AWS::SQS::Queue")
    letters = {
        each["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]
        for each in queues.values()
        if "RedrivePolicy" in each
    }
    assert len(letters) == len(DEAD_LETTER_QUEUES) == 2
    assert letters == {each["EventSourceArn"]["Fn::GetAtt"][0] for each in template.mappings("dead_letters")}
    assert all("RedrivePolicy" in each for name, each in queues.items() if name not in letters)
    counts = {each["RedrivePolicy"]["maxReceiveCount"] for each in queues.values() if "RedrivePolicy" in each}
    assert counts == {queue.max_receive_count for queue in QUEUES}


def test_only_the_workers_queues_are_fifo_and_they_have_high_throughput(template: Template) -> None:
    fifo = [each for each in template.of_type("AWS::SQS::Queue").values() if each.get("FifoQueue")]
    assert len(fifo) == 2
    for queue in fifo:
        assert queue["FifoThroughputLimit"] == "perMessageGroupId"
        assert queue["DeduplicationScope"] == "messageGroup"


def test_only_the_functions_in_the_loop_from_batch_to_batch_may_be_recursive(template: Template) -> None:
    allowed = {name for name in FUNCTIONS if template.function(name).get("RecursiveLoop") == "Allow"}
    assert allowed == {"plan", "infer", "assemble"}


def test_functions_run_on_the_platform_of_their_wheels_with_traces_and_logs(template: Template) -> None:
    log_groups = template.of_type("AWS::Logs::LogGroup")
    for name in FUNCTIONS:
        function = template.function(name)
        assert (function["Runtime"], function["Architectures"]) == ("python3.13", ["arm64"])
        assert function["TracingConfig"] == {"Mode": "Active"}
        assert log_groups[function["LoggingConfig"]["LogGroup"]["Ref"]]["RetentionInDays"] == 30
        assert len(function["Layers"]) == 2


def test_no_role_is_shared_and_no_action_is_a_wildcard(template: Template) -> None:
    roles = [template.function(name)["Role"]["Fn::GetAtt"][0] for name in FUNCTIONS]
    assert len(set(roles)) == len(FUNCTIONS)
    for name in FUNCTIONS:
        assert "ManagedPolicyArns" not in template.of_type("AWS::IAM::Role")[roles[FUNCTIONS.index(name)]]
        for statement in template.statements(name):
            actions = as_list(statement["Action"])
            assert not any("*" in action for action in actions)
            if "*" in as_list(statement["Resource"]):
                assert actions == ["xray:PutTelemetryRecords", "xray:PutTraceSegments"] or actions == [
                    "xray:PutTraceSegments",
                    "xray:PutTelemetryRecords",
                ]


def test_the_tables_indexes_have_keys_only_and_it_can_be_restored(template: Template) -> None:
    (table,) = template.of_type("AWS::DynamoDB::Table").values()
    assert table["BillingMode"] == "PAY_PER_REQUEST"
    indexes = table["GlobalSecondaryIndexes"]
    assert {index["Projection"]["ProjectionType"] for index in indexes} == {"KEYS_ONLY"}
    assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"]
    assert table["TimeToLiveSpecification"] == {"AttributeName": "ttl", "Enabled": True}
    assert table["DeletionProtectionEnabled"]


def test_data_is_deleted_with_the_stack_only_if_configured(
    synthesise: Synthesise, template: Template
) -> None:
    kinds = {"AWS::DynamoDB::Table", "AWS::S3::Bucket"}

    def policies(of: Template) -> set[str]:
        return {each["DeletionPolicy"] for each in of.body["Resources"].values() if each["Type"] in kinds}

    unprotected = synthesise(deletion_protection=False)
    assert policies(template) == {"Retain"}
    assert policies(unprotected) == {"Delete"}
    (table,) = unprotected.of_type("AWS::DynamoDB::Table").values()
    assert not table["DeletionProtectionEnabled"]


def test_nothing_is_public_and_everything_is_encrypted_in_transit_and_at_rest(template: Template) -> None:
    (bucket,) = template.of_type("AWS::S3::Bucket").values()
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert len(bucket["PublicAccessBlockConfiguration"]) == 4
    assert "BucketEncryption" in bucket
    assert all(each["SqsManagedSseEnabled"] for each in template.of_type("AWS::SQS::Queue").values())
    policies = [
        *template.of_type("AWS::S3::BucketPolicy").values(),
        *template.of_type("AWS::SQS::QueuePolicy").values(),
    ]
    assert len(policies) == 1 + len(QUEUES) + len(DEAD_LETTER_QUEUES)
    for policy in policies:
        statements = policy["PolicyDocument"]["Statement"]
        assert all(each["Effect"] == "Deny" for each in statements)
        assert {"Bool": {"aws:SecureTransport": "false"}} in [each["Condition"] for each in statements]


def test_work_objects_parts_and_unfinished_uploads_expire(synthesise: Synthesise) -> None:
    (bucket,) = synthesise().of_type("AWS::S3::Bucket").values()
    work, parts, uploads = bucket["LifecycleConfiguration"]["Rules"]
    assert (parts["Prefix"], parts["ExpirationInDays"]) == ("uploads/", 1)
    assert (work["Prefix"], work["ExpirationInDays"]) == ("work/", 14)
    assert uploads["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 1}


def test_work_objects_outlive_a_window_longer_than_clients_may_ask_for(synthesise: Synthesise) -> None:
    (bucket,) = synthesise(completion_window_seconds=10 * 86_400).of_type("AWS::S3::Bucket").values()
    assert bucket["LifecycleConfiguration"]["Rules"][0]["ExpirationInDays"] == 17


def test_objects_that_clients_store_invoke_the_function_that_completes_their_files(
    template: Template,
) -> None:
    ((name, bucket),) = template.of_type("AWS::S3::Bucket").items()
    assert bucket["NotificationConfiguration"] == {"EventBridgeConfiguration": {"EventBridgeEnabled": True}}
    (pattern,) = [
        each["EventPattern"]
        for each in template.of_type("AWS::Events::Rule").values()
        if "EventPattern" in each
    ]
    assert pattern["source"] == ["aws.s3"]
    assert pattern["detail-type"] == ["Object Created"]
    assert pattern["detail"] == {
        "bucket": {"name": [{"Ref": name}]},
        "object": {"key": [{"prefix": "direct/"}]},
    }


def test_only_plan_and_assemble_may_use_the_buckets_of_the_operator_below_the_prefixes(
    synthesise: Synthesise, template: Template
) -> None:
    locations = {
        "s3_inputs": ["s3://team-data/in/"],
        "s3_outputs": [{"prefix": "s3://team-data/out/", "tenants": ["acme"]}],
    }

    def outside(of: Template) -> set[tuple[str, str, str]]:
        return {
            (name, action, "".join(map(str, resource["Fn::Join"][1][2:])))
            for name in FUNCTIONS
            for statement in of.statements(name)
            for resource in as_list(statement["Resource"])
            if ":s3:::" in json.dumps(resource)
            for action in as_list(statement["Action"])
        }

    assert outside(synthesise(**locations)) == {
        ("plan", "s3:GetObject", ":s3:::team-data/in/*"),
        ("assemble", "s3:PutObject", ":s3:::team-data/out/*"),
    }
    assert outside(template) == set()


def test_every_queue_keeps_a_message_for_the_longest_window(template: Template) -> None:
    for queue in template.of_type("AWS::SQS::Queue").values():
        assert queue["MessageRetentionPeriod"] >= MAX_WINDOW_SECONDS


def test_every_method_requires_the_authorizer_except_for_the_public_paths(
    template: Template,
) -> None:
    resources = template.of_type("AWS::ApiGateway::Resource")

    def path(identifier: str) -> str:
        resource = resources[identifier]
        above = resource["ParentId"].get("Ref")
        return f"{path(above) if above else ''}/{resource['PathPart']}"

    methods = {
        (each["HttpMethod"], path(each["ResourceId"]["Ref"])): each["AuthorizationType"]
        for each in template.of_type("AWS::ApiGateway::Method").values()
    }
    public = {("GET", path): "NONE" for path in PUBLIC_PATHS}
    assert methods == {("ANY", "/{proxy+}"): "CUSTOM"} | public
    (authorizer,) = template.of_type("AWS::ApiGateway::Authorizer").values()
    assert (authorizer["Type"], authorizer["AuthorizerResultTtlInSeconds"]) == ("TOKEN", 300)
    (api,) = template.of_type("AWS::ApiGateway::RestApi").values()
    assert api["EndpointConfiguration"] == {"Types": ["REGIONAL"]}
    assert api["BinaryMediaTypes"] == ["multipart/form-data"]
    (stage,) = template.of_type("AWS::ApiGateway::Stage").values()
    assert stage["StageName"] == "v1"
    assert "AccessLogSetting" in stage
    (settings,) = stage["MethodSettings"]
    assert (settings["ThrottlingRateLimit"], settings["ThrottlingBurstLimit"]) == (100, 200)
    assert not settings["DataTraceEnabled"]


def test_api_gateways_own_errors_have_openais_envelope(template: Template) -> None:
    responses = {
        each["ResponseType"]: each for each in template.of_type("AWS::ApiGateway::GatewayResponse").values()
    }
    assert set(responses) == {each.kind for each in GATEWAY_RESPONSES}
    for response in responses.values():
        body = json.loads(response["ResponseTemplates"]["application/json"])
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert response["ResponseParameters"]["gatewayresponse.header.x-request-id"] == "context.requestId"
    assert responses["ACCESS_DENIED"]["StatusCode"] == "401"
    assert responses["THROTTLED"]["ResponseParameters"]["gatewayresponse.header.Retry-After"] == "'5'"
    assert "StatusCode" not in responses["DEFAULT_4XX"]


def test_a_private_api_is_reachable_only_from_its_endpoints(synthesise: Synthesise) -> None:
    template = synthesise(vpc_endpoint_ids=["vpce-0123456789abcdef0"])
    (api,) = template.of_type("AWS::ApiGateway::RestApi").values()
    assert api["EndpointConfiguration"] == {
        "Types": ["PRIVATE"],
        "VpcEndpointIds": ["vpce-0123456789abcdef0"],
    }
    allow, deny = api["Policy"]["Statement"]
    assert (allow["Effect"], deny["Effect"]) == ("Allow", "Deny")
    assert deny["Condition"] == {"StringNotEquals": {"aws:SourceVpce": ["vpce-0123456789abcdef0"]}}


def test_a_custom_domain_serves_v1_and_replaces_the_default_endpoint(synthesise: Synthesise) -> None:
    certificate = "arn:aws:acm:us-east-1:123456789012:certificate/00000000-0000-4000-8000-000000000000"
    template = synthesise(domain={"name": "batch.acme.test", "certificate_arn": certificate})
    (mapping,) = template.of_type("AWS::ApiGateway::BasePathMapping").values()
    assert mapping["BasePath"] == "v1"
    (api,) = template.of_type("AWS::ApiGateway::RestApi").values()
    assert api["DisableExecuteApiEndpoint"]
    assert template.body["Outputs"]["ApiUrl"]["Value"] == "https://batch.acme.test/v1"


def test_the_operators_acl_network_and_topic_are_used(synthesise: Synthesise) -> None:
    acl = "arn:aws:wafv2:us-east-1:123456789012:regional/webacl/acme/00000000-0000-4000-8000-000000000000"
    network = {"subnet_ids": ["subnet-01234567"], "security_group_ids": ["sg-01234567"]}
    topic = "arn:aws:sns:us-east-1:123456789012:pager"
    template = synthesise(web_acl_arn=acl, network=network, alarm_topic_arn=topic)
    (association,) = template.of_type("AWS::WAFv2::WebACLAssociation").values()
    assert association["WebACLArn"] == acl
    attached = {name for name in FUNCTIONS if "VpcConfig" in template.function(name)}
    assert attached == {"api", "plan", "infer", "notify"}
    alarms = template.of_type("AWS::CloudWatch::Alarm").values()
    assert all(each["AlarmActions"] == each["OKActions"] == [topic] for each in alarms)
    assert len(alarms) > 10


@pytest.mark.parametrize(
    ("bus", "resource"),
    [
        ("acme-events", ":event-bus/acme-events"),
        (
            "arn:aws:events:eu-west-1:111122223333:event-bus/x",
            "arn:aws:events:eu-west-1:111122223333:event-bus/x",
        ),
    ],
)
def test_only_notify_may_publish_and_only_to_the_operators_bus(
    synthesise: Synthesise, bus: str, resource: str
) -> None:
    template = synthesise(event_bus=bus)
    allowed = {
        name: json.dumps(statement["Resource"])
        for name in FUNCTIONS
        for statement in template.statements(name)
        if "events:PutEvents" in as_list(statement["Action"])
    }
    assert list(allowed) == ["notify"]
    assert resource in allowed["notify"]
    assert template.function("notify")["Environment"]["Variables"]["NIGHTLANE_EVENT_BUS"] == bus


def test_nobody_may_publish_events_without_a_bus(template: Template) -> None:
    assert "events:PutEvents" not in json.dumps(template.body)
