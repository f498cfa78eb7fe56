"""The queues, each with its dead letters."""

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.deploy import camel_case
from infra.resources import QUEUES, FunctionSpec, QueueSpec

# A message of a lane that waits a whole completion window must not be dropped by SQS.
RETENTION = Duration.days(14)
# Lambda asks for at least the function's timeout. Six times that is the common advice, for messages that
# are throttled; here the lease shortens the visibility of whatever has begun, and a long one would keep
# the lane of a message that never began blocked.
# https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
VISIBILITY_MARGIN_SECONDS = 60


class Queues(Construct):
    """`by_name` holds every queue and every dead-letter queue."""

    def __init__(self, scope: Construct, construct_id: str, *, functions: tuple[FunctionSpec, ...]) -> None:
        super().__init__(scope, construct_id)
        timeouts = {queue: function.timeout for function in functions for queue in function.queues}
        self.by_name: dict[str, sqs.Queue] = {}
        for queue in QUEUES:
            dead = self._queue(queue.dead_letters, queue, timeouts[queue.dead_letters], None)
            letters = sqs.DeadLetterQueue(queue=dead, max_receive_count=queue.max_receive_count)
            self._queue(queue.name, queue, timeouts[queue.name], letters)

    def _queue(
        self, name: str, spec: QueueSpec, timeout: int, letters: sqs.DeadLetterQueue | None
    ) -> sqs.Queue:
        self.by_name[name] = sqs.Queue(
            self,
            camel_case(name),
            visibility_timeout=Duration.seconds(timeout + VISIBILITY_MARGIN_SECONDS),
            retention_period=RETENTION,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=letters,
            fifo=spec.fifo or None,
            # Together these are FIFO's high-throughput mode.
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if spec.fifo else None,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if spec.fifo else None,
        )
        return self.by_name[name]
