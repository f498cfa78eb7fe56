"""The DynamoDB table: batches, shards, upstreams, files and keys."""

from nightlane.aws.table.batches import DynamoBatches
from nightlane.aws.table.files import DynamoFiles
from nightlane.aws.table.keys import DynamoKeys
from nightlane.aws.table.upstreams import DynamoUpstreams

__all__ = ["DynamoBatches", "DynamoFiles", "DynamoKeys", "DynamoUpstreams"]
