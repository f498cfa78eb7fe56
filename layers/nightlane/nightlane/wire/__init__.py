"""What clients see: request and response models, errors and the JSONL line formats. Pure."""
