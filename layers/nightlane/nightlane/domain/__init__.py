"""What a batch is and does. Knows no boto3, no clock and no environment: ports are passed in."""
