"""The ports on AWS: DynamoDB, S3, SQS, Secrets Manager. The only room that imports boto3."""
