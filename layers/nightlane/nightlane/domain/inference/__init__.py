"""infer: runs one shard of one lane with a rolling pool of requests and durable checkpoints."""
