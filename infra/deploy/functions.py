"""The functions, each with its own role, log group and triggers."""

from dataclasses import dataclass
from pathlib import Path

from aws_cdk import Duration, RemovalPolicy, Size
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from constructs import Construct

from nightlane.settings import Settings

from ..environment import environment_of
from ..resources import QUEUES, FunctionSpec
from . import camel_case
from .deployment import Deployment, Network
from .layers import Code
from .locations import LocationArns
from .permissions import Grant, Target, grants_of
from .queues import Queues
from .storage import Storage
from .upstreams import UpstreamArns

RUNTIME = lambda_.Runtime.PYTHON_3_13


@dataclass(frozen=True, slots=True)
class FunctionResources:
    """The resources that the functions use."""

    storage: Storage
    queues: Queues
    upstreams: UpstreamArns
    locations: LocationArns
    event_buses: list[str]

    def settings(self, deployment: Deployment) -> Settings:
        """The settings of all functions, with the names of the resources in the stack."""
        queues = self.queues.by_name
        urls = {f"{queue.name}_queue_url": queues[queue.name].queue_url for queue in QUEUES}
        return deployment.settings.model_copy(
            update=urls
            | {
                "table_name": self.storage.table.table_name,
                "bucket_name": self.storage.bucket.bucket_name,
            }
        )

    def arns(self, grant: Grant) -> list[str]:
        """The ARNs of the resources that a grant covers."""
        table, bucket = self.storage.table.table_arn, self.storage.bucket
        match grant.target:
            case Target.TABLE:
                return [table]
            case Target.INDEX:
                return [f"{table}/index/{name}" for name in grant.on]
            case Target.OBJECTS:
                return [bucket.arn_for_objects(f"{prefix}*") for prefix in grant.on]
            case Target.BUCKET:
                return [bucket.bucket_arn]
            case Target.QUEUE:
                return [self.queues.by_name[name].queue_arn for name in grant.on]
            case Target.UPSTREAM_KEY:
                return list(self.upstreams.secrets)
            case Target.EVENT_BUS:
                return self.event_buses
            case Target.AWS_MODELS:
                return list(self.upstreams.models.get(grant.on[0], ()))
            case Target.S3_INPUTS | Target.S3_OUTPUTS | Target.RESULTS_TO_COPY:
                return list(self.locations.by_target[grant.target])


class Functions(Construct):
    """`by_name` has every function."""

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        deployment: Deployment,
        specs: tuple[FunctionSpec, ...],
        resources: FunctionResources,
        code: Code,
    ) -> None:
        super().__init__(scope, construct_id)
        self._deployment = deployment
        self._resources = resources
        self._code = lambda_.Code.from_asset(str(code.functions))
        self._layers = [
            self._layer("Dependencies", code.dependencies, "Third-party packages, from uv.lock"),
            self._layer("Nightlane", code.shared, "The shared package"),
        ]
        self._settings = resources.settings(deployment)
        self.by_name = {spec.name: self._function(spec) for spec in specs}

    def _layer(self, name: str, folder: Path, description: str) -> lambda_.LayerVersion:
        return lambda_.LayerVersion(
            self,
            name,
            code=lambda_.Code.from_asset(str(folder)),
            compatible_runtimes=[RUNTIME],
            description=description,
        )

    def _function(self, spec: FunctionSpec) -> lambda_.Function:
        scope = Construct(self, camel_case(spec.name))
        log_group = logs.LogGroup(
            scope,
            "Logs",
            retention=logs.RetentionDays[_RETENTION[self._deployment.log_retention_days]],
            removal_policy=RemovalPolicy.DESTROY,
        )
        arm = self._deployment.architecture == "arm64"
        function = lambda_.Function(
            scope,
            "Function",
            runtime=RUNTIME,
            architecture=lambda_.Architecture.ARM_64 if arm else lambda_.Architecture.X86_64,
            handler=f"{spec.module}.handler",
            code=self._code,
            layers=self._layers,
            memory_size=spec.memory,
            ephemeral_storage_size=Size.mebibytes(spec.disk),
            timeout=Duration.seconds(spec.timeout),
            environment=self._environment(spec),
            role=self._role(scope, spec, log_group),
            log_group=log_group,
            tracing=lambda_.Tracing.DISABLED if self._deployment.is_lean else lambda_.Tracing.ACTIVE,
            reserved_concurrent_executions=self._reserved(spec),
            recursive_loop=lambda_.RecursiveLoop.ALLOW if spec.loops else None,
        )
        if self._deployment.network and spec.connects_elsewhere:
            _attach_to_vpc(function, self._deployment.network)
        self._add_triggers(scope, spec, function)
        return function

    def _environment(self, spec: FunctionSpec) -> dict[str, str]:
        return environment_of(self._settings, spec.name, self._deployment.stack_name)

    def _reserved(self, spec: FunctionSpec) -> int | None:
        return spec.concurrency if self._deployment.reserve_concurrency else None

    def _role(self, scope: Construct, spec: FunctionSpec, log_group: logs.LogGroup) -> iam.Role:
        role = iam.Role(scope, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group.grant_write(role)
        for grant in grants_of(spec):
            if arns := self._resources.arns(grant):
                role.add_to_policy(_statement(grant, arns))
        return role

    def _add_triggers(self, scope: Construct, spec: FunctionSpec, function: lambda_.Function) -> None:
        """Add what invokes the function besides the API: event sources, stored objects and a timer."""
        for name in spec.queues:
            lambda_.EventSourceMapping(
                scope,
                camel_case(name),
                target=function,
                event_source_arn=self._resources.queues.by_name[name].queue_arn,
                batch_size=spec.batch_size,
                max_concurrency=spec.event_source_concurrency,
                report_batch_item_failures=spec.reports_failures,
            )
        if spec.objects is not None:
            events.Rule(
                scope,
                "Objects",
                event_pattern=self._stored_below(spec.objects),
                targets=[targets.LambdaFunction(function)],
            )
        if spec.every_seconds is not None:
            events.Rule(
                scope,
                "Timer",
                schedule=events.Schedule.rate(Duration.seconds(spec.every_seconds)),
                targets=[targets.LambdaFunction(function, retry_attempts=0)],
            )

    def _stored_below(self, prefix: str) -> events.EventPattern:
        """S3's events for the objects that were stored below a prefix.

        https://docs.aws.amazon.com/AmazonS3/latest/userguide/EventBridge.html
        """
        bucket = self._resources.storage.bucket.bucket_name
        return events.EventPattern(
            source=["aws.s3"],
            detail_type=["Object Created"],
            detail={"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": prefix}]}},
        )


def _statement(grant: Grant, arns: list[str]) -> iam.PolicyStatement:
    conditions = {}
    if grant.target is Target.TABLE:
        # https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/specifying-conditions.html
        keys = [f"{prefix}*" if prefix.endswith("#") else prefix for prefix in grant.on]
        conditions = {"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}}
    return iam.PolicyStatement(actions=list(grant.actions), resources=arns, conditions=conditions)


def _attach_to_vpc(function: lambda_.Function, network: Network) -> None:
    """Attach to subnets by id, without a context lookup, so that synthesis needs no account."""
    cfn_function = function.node.default_child
    assert isinstance(cfn_function, lambda_.CfnFunction)
    cfn_function.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
        subnet_ids=list(network.subnet_ids), security_group_ids=list(network.security_group_ids)
    )
    # https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
    actions = "CreateNetworkInterface DescribeNetworkInterfaces DescribeSubnets DeleteNetworkInterface"
    function.add_to_role_policy(
        iam.PolicyStatement(actions=[f"ec2:{action}" for action in actions.split()], resources=["*"])
    )


_RETENTION = {
    1: "ONE_DAY",
    3: "THREE_DAYS",
    5: "FIVE_DAYS",
    7: "ONE_WEEK",
    14: "TWO_WEEKS",
    30: "ONE_MONTH",
    60: "TWO_MONTHS",
    90: "THREE_MONTHS",
    180: "SIX_MONTHS",
    365: "ONE_YEAR",
}
