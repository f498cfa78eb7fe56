"""The DynamoDB table: batches, shards, upstreams, files, uploads, quotas, keys and webhooks."""

from nightlane.aws.table.batches import DynamoBatches
from nightlane.aws.table.events import DynamoEvents
from nightlane.aws.table.files import DynamoFiles
from nightlane.aws.table.keys import DynamoKeys
from nightlane.aws.table.quotas import DynamoQuotas
from nightlane.aws.table.uploads import DynamoUploads
from nightlane.aws.table.upstreams import DynamoUpstreams
from nightlane.aws.table.webhooks import DynamoEndpoints

__all__ = [
    "DynamoBatches",
    "DynamoEndpoints",
    "DynamoEvents",
    "DynamoFiles",
    "DynamoKeys",
    "DynamoQuotas",
    "DynamoUploads",
    "DynamoUpstreams",
]
