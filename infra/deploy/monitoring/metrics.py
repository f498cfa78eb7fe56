"""The metrics that the dashboard and the alarms read."""

from dataclasses import dataclass

from aws_cdk import Duration
from aws_cdk import aws_apigateway as apigateway
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sqs as sqs

from nightlane.domain.metrics import NAMESPACE, Metric

MINUTE = Duration.minutes(1)
FIVE_MINUTES = Duration.minutes(5)
QUARTER_HOUR = Duration.minutes(15)
SUM, AVERAGE, MAXIMUM = cloudwatch.Stats.SUM, cloudwatch.Stats.AVERAGE, cloudwatch.Stats.MAXIMUM


@dataclass(frozen=True, slots=True)
class Watched:
    """The monitored resources, and their metrics."""

    service: str
    functions: dict[str, lambda_.Function]
    queues: dict[str, sqs.Queue]
    table: dynamodb.Table
    rest_api: apigateway.RestApi

    def own(
        self, metric: Metric, statistic: str = SUM, period: Duration = MINUTE, **dimensions: str
    ) -> cloudwatch.Metric:
        """A metric that the handlers write."""
        return cloudwatch.Metric(
            namespace=NAMESPACE,
            metric_name=metric.value,
            dimensions_map={"service": self.service, **dimensions},
            statistic=statistic,
            period=period,
        )

    def of_function(
        self, function: str, name: str, statistic: str = SUM, period: Duration = MINUTE
    ) -> cloudwatch.Metric:
        """One of Lambda's metrics."""
        return self.functions[function].metric(name, statistic=statistic, period=period)

    def of_queue(self, queue: str, name: str, statistic: str = MAXIMUM) -> cloudwatch.Metric:
        """One of SQS's metrics."""
        return self.queues[queue].metric(name, statistic=statistic, period=MINUTE)

    def of_api(self, name: str, statistic: str = SUM, period: Duration = MINUTE) -> cloudwatch.Metric:
        """One of API Gateway's metrics."""
        return self.rest_api.metric(name, statistic=statistic, period=period)

    def of_table(self, name: str, statistic: str = SUM) -> cloudwatch.Metric:
        """One of DynamoDB's metrics."""
        return cloudwatch.Metric(
            namespace="AWS/DynamoDB",
            metric_name=name,
            dimensions_map={"TableName": self.table.table_name},
            statistic=statistic,
            period=MINUTE,
        )
