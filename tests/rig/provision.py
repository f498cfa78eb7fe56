"""Create the table, the bucket and the queues of `infra.resources` without the CDK."""

import json
from typing import Any

from infra.resources import INDEXES, QUEUES, TABLE_KEY, TTL_ATTRIBUTE, QueueSpec
from nightlane.aws.clients import Clients
from nightlane.settings import Settings

# Unlike Lambda, the rig accepts less than the function's timeout. That is enough because the lease renews the
# visibility: it only has to be longer than a cold start.
VISIBILITY_SECONDS = "30"


def provision(clients: Clients, settings: Settings) -> Settings:
    """Create everything; returns the settings with the queues' URLs."""
    create_table(clients, settings.table_name)
    clients.s3.create_bucket(Bucket=settings.bucket_name)
    names = {}
    for queue in QUEUES:
        # Queues that share a dead-letter queue get the same one.
        letters = _create_dead_letter_queue(clients, queue)
        names[f"{queue.name}_queue_url"] = _create_queue(clients, queue, letters)
    return settings.model_copy(update=names)


def queue_urls(settings: Settings) -> dict[str, str]:
    """The URLs of all queues by name, including dead-letter queues."""
    urls: dict[str, str] = {}
    for queue in QUEUES:
        url = getattr(settings, f"{queue.name}_queue_url")
        place = url.rsplit("/", 1)[0]
        urls |= {queue.name: url, queue.dead_letters: f"{place}/{queue.dead_letters}{_suffix(queue)}"}
    return urls


def create_table(clients: Clients, name: str) -> None:
    """Create the table with its indexes and its time to live."""
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


def _create_dead_letter_queue(clients: Clients, queue: QueueSpec) -> str:
    """Returns its ARN."""
    attributes: Any = _kind(queue) | {"VisibilityTimeout": VISIBILITY_SECONDS}
    name = queue.dead_letters + _suffix(queue)
    url = clients.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]
    answer = clients.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    return answer["Attributes"]["QueueArn"]


def _create_queue(clients: Clients, queue: QueueSpec, dead_letters_arn: str) -> str:
    """Returns its URL."""
    redrive = {"deadLetterTargetArn": dead_letters_arn, "maxReceiveCount": queue.max_receive_count}
    attributes: Any = _kind(queue) | {
        "VisibilityTimeout": VISIBILITY_SECONDS,
        "RedrivePolicy": json.dumps(redrive),
    }
    name = queue.name + _suffix(queue)
    return clients.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"]


def _suffix(queue: QueueSpec) -> str:
    return ".fifo" if queue.fifo else ""


def _kind(queue: QueueSpec) -> dict[str, str]:
    if not queue.fifo:
        return {}
    # High throughput: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/high-throughput-fifo.html
    return {
        "FifoQueue": "true",
        "DeduplicationScope": "messageGroup",
        "FifoThroughputLimit": "perMessageGroupId",
    }
