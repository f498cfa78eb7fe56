"""The ports on AWS: DynamoDB, S3, SQS and Secrets Manager. Only this package imports botocore."""
