"""The one DynamoDB table: batches, shards, files and keys."""

from nightlane.aws.table.batches import DynamoBatches
from nightlane.aws.table.files import DynamoFiles
from nightlane.aws.table.keys import DynamoKeys

__all__ = ["DynamoBatches", "DynamoFiles", "DynamoKeys"]
