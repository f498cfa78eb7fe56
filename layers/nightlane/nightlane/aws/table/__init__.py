"""The DynamoDB table: batches, shards, upstreams, files, uploads, quotas, keys and webhooks.

Nothing is imported here, so that `authorize` only starts with what its one read needs.
"""
