"""The DynamoDB table: batches, shards, upstreams, files, uploads, quotas and keys."""

from nightlane.aws.table.batches import DynamoBatches
from nightlane.aws.table.files import DynamoFiles
from nightlane.aws.table.keys import DynamoKeys
from nightlane.aws.table.quotas import DynamoQuotas
from nightlane.aws.table.uploads import DynamoUploads
from nightlane.aws.table.upstreams import DynamoUpstreams

__all__ = ["DynamoBatches", "DynamoFiles", "DynamoKeys", "DynamoQuotas", "DynamoUploads", "DynamoUpstreams"]
