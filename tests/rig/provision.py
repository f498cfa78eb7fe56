"""Makes the table, the bucket and the queues of `infra.resources` on an endpoint without CDK."""

import json
from typing import Any

from infra.resources import INDEXES, QUEUES, TABLE_KEY, TTL_ATTRIBUTE, QueueSpec
from nightlane.aws.clients import Clients
from nightlane.settings import Settings

# Nothing here forces a queue's visibility to outlast its function's timeout, for the lease does
# what matters; it only has to outlast a cold start.
VISIBILITY_SECONDS = "30"


def provision(clients: Clients, settings: Settings) -> Settings:
    """Create everything; answers the settings with the queues' URLs."""
    create_table(clients, settings.table_name)
    clients.s3.create_bucket(Bucket=settings.bucket_name)
    urls = {f"{queue.name}_queue_url": _create_queue(clients, queue) for queue in QUEUES}
    return settings.model_copy(update=urls)


def create_table(clients: Clients, name: str) -> None:
    """The table with its indexes and its time to live."""
    types = dict.fromkeys(TABLE_KEY, "S")
    for index in INDEXES:
        types |= {index.partition: "S", index.sort: index.sort_type}
    attributes: Any = [{"AttributeName": each, "AttributeType": kind} for each, kind in types.items()]
    indexes: Any = [
        {
            "IndexName": index.name,
            "KeySchema": _key_schema(index.partition, index.sort),
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
        for index in INDEXES
    ]
    clients.dynamodb.create_table(
        TableName=name,
        AttributeDefinitions=attributes,
        KeySchema=_key_schema(*TABLE_KEY),
        GlobalSecondaryIndexes=indexes,
        BillingMode="PAY_PER_REQUEST",
    )
    clients.dynamodb.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": TTL_ATTRIBUTE}
    )


def _key_schema(partition: str, sort: str) -> Any:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def _create_queue(clients: Clients, queue: QueueSpec) -> str:
    """The queue and its dead-letter queue; answers the queue's URL."""
    suffix = ".fifo" if queue.fifo else ""
    kind = {"FifoQueue": "true"} if queue.fifo else {}
    # High throughput: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html
    throughput = (
        {"DeduplicationScope": "messageGroup", "FifoThroughputLimit": "perMessageGroupId"}
        if queue.fifo
        else {}
    )
    letters: Any = {**kind, "VisibilityTimeout": VISIBILITY_SECONDS}
    dead = clients.sqs.create_queue(QueueName=queue.dead_letters + suffix, Attributes=letters)["QueueUrl"]
    arn = clients.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"][
        "QueueArn"
    ]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": queue.max_receive_count})
    attributes: Any = {
        **kind,
        **throughput,
        "VisibilityTimeout": VISIBILITY_SECONDS,
        "RedrivePolicy": redrive,
    }
    return clients.sqs.create_queue(QueueName=queue.name + suffix, Attributes=attributes)["QueueUrl"]
