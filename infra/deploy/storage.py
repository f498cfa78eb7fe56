"""The table and the bucket."""

import math
from collections.abc import Sequence

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from nightlane.domain.window import DAY_SECONDS, longest_window_seconds

from ..resources import INDEXES, TABLE_KEY, TTL_ATTRIBUTE, WORK_MARGIN_DAYS
from .deployment import Deployment


class Storage(Construct):
    """`table` and `bucket`."""

    def __init__(self, scope: Construct, construct_id: str, *, deployment: Deployment) -> None:
        super().__init__(scope, construct_id)
        removal = RemovalPolicy.RETAIN if deployment.deletion_protection else RemovalPolicy.DESTROY
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=_key(TABLE_KEY[0]),
            sort_key=_key(TABLE_KEY[1]),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute=TTL_ATTRIBUTE,
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=deployment.deletion_protection,
            removal_policy=removal,
        )
        for index in INDEXES:
            self.table.add_global_secondary_index(
                index_name=index.name,
                partition_key=_key(index.partition),
                sort_key=_key(index.sort, index.sort_type),
                # With other attributes in the index, every counter update would be written to it as well.
                projection_type=dynamodb.ProjectionType.KEYS_ONLY,
            )
        window = math.ceil(longest_window_seconds(deployment.settings) / DAY_SECONDS)
        self.bucket = s3.Bucket(
            self,
            "Bucket",
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            encryption=s3.BucketEncryption.S3_MANAGED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="work", prefix="work/", expiration=Duration.days(window + WORK_MARGIN_DAYS)
                ),
                # Parts of uploads that were neither completed nor cancelled.
                s3.LifecycleRule(id="parts", prefix="uploads/", expiration=Duration.days(1)),
                s3.LifecycleRule(
                    id="unfinished-uploads", abort_incomplete_multipart_upload_after=Duration.days(1)
                ),
            ],
            removal_policy=removal,
        )
        # In the template itself: CDK's own property for this adds a function that sets it.
        resource = self.bucket.node.default_child
        assert isinstance(resource, s3.CfnBucket)
        resource.notification_configuration = s3.CfnBucket.NotificationConfigurationProperty(
            event_bridge_configuration=s3.CfnBucket.EventBridgeConfigurationProperty(
                event_bridge_enabled=True
            )
        )

    def allow_pages_of(self, own: Sequence[str], other: str | None) -> None:
        """Let pages download large content from the bucket, and upload to it by presigned URLs.

        Args:
            own: the API's origins, for its console.
            other: the origin that the operator allows, see the setting `cors_origin`.
        """
        get, put = s3.HttpMethods.GET, s3.HttpMethods.PUT
        # With If-None-Match, a browser asks first.
        self.bucket.add_cors_rule(
            allowed_methods=[get, put], allowed_origins=list(own), allowed_headers=["*"]
        )
        if other is not None:
            # Between two other origins, a browser follows a redirect with `Origin: null`.
            self.bucket.add_cors_rule(allowed_methods=[get], allowed_origins=["*"])
            self.bucket.add_cors_rule(allowed_methods=[put], allowed_origins=[other], allowed_headers=["*"])


def _key(name: str, kind: str = "S") -> dynamodb.Attribute:
    string, number = dynamodb.AttributeType.STRING, dynamodb.AttributeType.NUMBER
    return dynamodb.Attribute(name=name, type=number if kind == "N" else string)
