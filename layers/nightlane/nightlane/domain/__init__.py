"""What a batch is and does. Without boto3, clock and environment: ports are passed in."""
