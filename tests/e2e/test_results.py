"""The extensions around results, with the official client on one machine and on the rig."""

import json
import time
from typing import Any

import openai
import pytest
from openai import HttpxBinaryResponseContent

from tests.e2e.conftest import Instance
from tests.world import requests


def read_page(client: openai.OpenAI, batch_id: str, **query: Any) -> tuple[list[Any], str, bool]:
    """Return a page's lines, the cursor after them, and whether there may be more."""
    page = client.get(
        f"/batches/{batch_id}/results", cast_to=HttpxBinaryResponseContent, options={"params": query}
    )
    headers = page.response.headers
    lines = [json.loads(line) for line in page.text.splitlines()]
    return lines, headers["X-Last-Line"], headers["X-Incomplete"] == "true"


def test_results_are_read_while_the_batch_runs(instance: Instance) -> None:
    slow = requests(1, mock={"latency": 4}).replace(b"request-0", b"slow")
    batch = instance.create(slow + requests(20))
    client, after, is_incomplete = instance.client, "0", True
    lines: list[Any] = []
    statuses = set()
    while is_incomplete:
        found, after, is_incomplete = read_page(client, batch.id, after=after, limit=8)
        lines += found
        if found:
            statuses.add(client.batches.retrieve(batch.id).status)
        time.sleep(0.2)
    assert "in_progress" in statuses
    assert len({line["id"] for line in lines}) == len(lines) == 21
    ended = instance.wait(batch.id)
    whole = [json.loads(line) for line in instance.text(ended.output_file_id).splitlines()]
    assert sorted(lines, key=lambda line: line["id"]) == sorted(whole, key=lambda line: line["id"])
    again, after, is_incomplete = read_page(client, batch.id)
    assert (again, after, is_incomplete) == (whole, "21", False)


def test_another_tenant_cannot_read_results(instance: Instance) -> None:
    batch = instance.create(requests(1))
    with instance.client_of("other") as other, pytest.raises(openai.NotFoundError):
        read_page(other, batch.id)
