"""The home on one machine: SQLite and a folder instead of DynamoDB, SQS and S3."""
