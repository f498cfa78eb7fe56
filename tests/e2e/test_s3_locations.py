"""Batches on the team's own bucket with the official client: on the rig, and refused where there is no S3."""

import openai
import pytest

from tests.e2e.conftest import HomeInstance, Instance, RigInstance
from tests.rig.accesses import TEAM_BUCKET
from tests.world import requests

INPUT = f"s3://{TEAM_BUCKET}/in/nightly.jsonl"
OUTPUT = f"s3://{TEAM_BUCKET}/out/nightly/"


def test_the_input_is_read_from_a_bucket_and_the_results_are_copied_to_it(instance: Instance) -> None:
    batches = instance.client.batches
    if isinstance(instance, HomeInstance):
        with pytest.raises(openai.BadRequestError, match="cannot read from S3: upload the input file"):
            batches.create(input_file_id=INPUT, endpoint="/v1/chat/completions", completion_window="24h")
        with pytest.raises(openai.BadRequestError, match="cannot write to S3: download the result files"):
            batches.create(
                input_file_id="file-1",
                endpoint="/v1/chat/completions",
                completion_window="24h",
                extra_body={"output_prefix": OUTPUT},
            )
        return
    assert isinstance(instance, RigInstance)
    s3 = instance.rig.clients().s3
    s3.create_bucket(Bucket=TEAM_BUCKET)
    s3.put_object(Bucket=TEAM_BUCKET, Key="in/nightly.jsonl", Body=requests(3))
    created = batches.create(
        input_file_id=INPUT,
        endpoint="/v1/chat/completions",
        completion_window="24h",
        extra_body={"output_prefix": OUTPUT},
    )
    batch = instance.wait(created.id)
    assert (batch.status, batch.input_file_id) == ("completed", INPUT)
    copied = s3.get_object(Bucket=TEAM_BUCKET, Key=f"out/nightly/{batch.id}_output.jsonl")["Body"].read()
    assert copied.decode() == instance.text(batch.output_file_id)
