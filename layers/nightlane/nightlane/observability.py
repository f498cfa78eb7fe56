"""One structured logger for every function. It never sees a body or a key."""

from aws_lambda_powertools import Logger

logger = Logger(service="nightlane")
