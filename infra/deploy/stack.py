"""The stack, made of the constructs."""

from aws_cdk import Annotations, CfnOutput, Stack
from constructs import Construct

from ..resources import functions
from ..version import checkout_version
from .api import Api
from .deployment import PLACEHOLDER_HOST, Deployment
from .event_buses import event_buses
from .functions import FunctionResources, Functions
from .layers import Code
from .locations import LocationArns
from .monitoring.alarms import Alarms
from .monitoring.dashboard import Dashboard
from .monitoring.metrics import Watched
from .queues import Queues
from .storage import Storage
from .upstreams import UpstreamArns


class NightlaneStack(Stack):
    """All of Nightlane in one account and region."""

    def __init__(self, scope: Construct, *, deployment: Deployment, code: Code) -> None:
        super().__init__(
            scope,
            deployment.stack_name,
            description="Nightlane: an OpenAI-compatible Batch API",
            termination_protection=deployment.deletion_protection,
        )
        specs = functions(deployment.settings)
        storage = Storage(self, "Storage", deployment=deployment)
        self.bucket = storage.bucket
        queues = Queues(self, "Queues", functions=specs)
        upstreams = UpstreamArns.of(deployment.settings, self)
        self.model_arns = tuple(arn for arns in upstreams.models.values() for arn in arns)
        locations = LocationArns.of(deployment.settings, self, storage.bucket)
        self.location_arns = locations.outside
        self.functions = Functions(
            self,
            "Functions",
            deployment=deployment,
            specs=specs,
            resources=FunctionResources(
                storage, queues, upstreams, locations, event_buses(deployment.settings, self)
            ),
            code=code,
        ).by_name
        api = Api(
            self,
            "Api",
            deployment=deployment,
            api=self.functions["api"],
            authorize=self.functions["authorize"],
        )
        storage.allow_pages_of(api.origins, deployment.settings.cors_origin)
        watched = Watched(deployment.stack_name, self.functions, queues.by_name, storage.table, api.rest_api)
        if not deployment.is_lean:
            Dashboard(self, "Dashboard", watched=watched, specs=specs)
        Alarms(
            self,
            "Alarms",
            watched=watched,
            specs=specs,
            topic_arn=deployment.alarm_topic_arn,
            lean=deployment.is_lean,
        )
        CfnOutput(self, "ApiUrl", value=api.url, description="base_url of the openai client")
        CfnOutput(self, "TableName", value=storage.table.table_name)
        CfnOutput(self, "BucketName", value=storage.bucket.bucket_name)
        CfnOutput(self, "Version", value=checkout_version(), description="of Nightlane")
        for upstream in deployment.settings.upstreams:
            if PLACEHOLDER_HOST in upstream.url:
                Annotations.of(self).add_warning_v2(
                    "nightlane:upstream",
                    f"cdk.json: the url of upstream '{upstream.name}' is the placeholder",
                )
