"""infer: one shard of one lane, a rolling pool of requests, checkpoints that are never lost."""
