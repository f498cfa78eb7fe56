"""A search in the results of a batch of embeddings."""

import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

Vectors = dict[str, list[float]]
"""The embeddings by custom_id; each has length 1."""


def read_vectors(output: Path) -> Vectors:
    """Read the output file of a batch."""
    with output.open(encoding="utf-8") as lines:
        results = [json.loads(line) for line in lines]
    return {each["custom_id"]: each["response"]["body"]["data"][0]["embedding"] for each in results}


def nearest(vectors: Vectors, query: str, among: Iterable[str], count: int) -> list[tuple[float, str]]:
    """Return the most similar ids, best first, with their cosine similarity to `query`."""
    ids = list(among)
    similarities = np.array([vectors[each] for each in ids]) @ np.array(vectors[query])
    best = np.argsort(-similarities)[:count]
    return [(float(similarities[each]), ids[each]) for each in best]
