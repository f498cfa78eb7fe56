"""The queues, each with its dead-letter queue."""

from aws_cdk import Duration
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from ..resources import QUEUES, FunctionSpec, QueueSpec
from . import camel_case


class Queues(Construct):
    """`by_name` has every queue and every dead-letter queue."""

    def __init__(self, scope: Construct, construct_id: str, *, functions: tuple[FunctionSpec, ...]) -> None:
        super().__init__(scope, construct_id)
        consumers = {queue: function for function in functions for queue in function.queues}
        self.by_name: dict[str, sqs.Queue] = {}
        for queue in QUEUES:
            letters = self.by_name.get(queue.dead_letters)
            if letters is None:
                letters = self._queue(queue.dead_letters, queue, consumers[queue.dead_letters], None)
            redrive = sqs.DeadLetterQueue(queue=letters, max_receive_count=queue.max_receive_count)
            self._queue(queue.name, queue, consumers[queue.name], redrive)

    def _queue(
        self, name: str, spec: QueueSpec, consumer: FunctionSpec, redrive: sqs.DeadLetterQueue | None
    ) -> sqs.Queue:
        self.by_name[name] = sqs.Queue(
            self,
            camel_case(name),
            visibility_timeout=Duration.seconds(consumer.visibility_seconds),
            retention_period=Duration.days(spec.retention_days),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=redrive,
            fifo=spec.fifo or None,
            # Together these two enable FIFO's high-throughput mode.
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if spec.fifo else None,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if spec.fifo else None,
        )
        return self.by_name[name]
