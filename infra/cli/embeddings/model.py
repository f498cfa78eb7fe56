"""all-MiniLM-L6-v2 in numpy: the vector of a text. The more similar two texts, the larger their dot product.

The model is BERT with six layers: https://arxiv.org/abs/1810.04805. The vector is the mean of the last layer:
https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2
"""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

Array = Any
"""A numpy array of float32; the last axis is the features of one token."""


class SentenceModel:
    """Weights and tokenizer, from a folder as the model is published. Used by one thread at a time."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        limits = json.loads((folder / "sentence_bert_config.json").read_text())
        self.dimensions = int(config["hidden_size"])
        self._layers, self._heads = config["num_hidden_layers"], config["num_attention_heads"]
        self._epsilon = config["layer_norm_eps"]
        self._weights = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(limits["max_seq_length"])

    def embed(self, text: str) -> tuple[list[float], int]:
        """Return a vector of length 1, and the number of tokens, of which the model reads at most 256."""
        tokens = self._tokenizer.encode(text).ids
        state = self._embed_tokens(tokens)
        for number in range(self._layers):
            state = self._transform(state, f"encoder.layer.{number}")
        mean = state.mean(axis=0)
        return (mean / np.linalg.norm(mean)).tolist(), len(tokens)

    def _embed_tokens(self, tokens: list[int]) -> Array:
        words, positions, kinds = (
            self._weights[f"embeddings.{name}_embeddings.weight"]
            for name in ("word", "position", "token_type")
        )
        return self._normalize(words[tokens] + positions[: len(tokens)] + kinds[0], "embeddings.LayerNorm")

    def _transform(self, state: Array, layer: str) -> Array:
        """One layer: every token looks at all others, then at itself."""
        query, key, value = (
            self._split_heads(self._linear(state, f"{layer}.attention.self.{name}"))
            for name in ("query", "key", "value")
        )
        weights = _softmax(query @ key.swapaxes(1, 2) / math.sqrt(query.shape[-1]))
        attended = (weights @ value).swapaxes(0, 1).reshape(state.shape)
        attended = self._linear(attended, f"{layer}.attention.output.dense")
        state = self._normalize(state + attended, f"{layer}.attention.output.LayerNorm")
        inner = _gelu(self._linear(state, f"{layer}.intermediate.dense"))
        return self._normalize(
            state + self._linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm"
        )

    def _split_heads(self, state: Array) -> Array:
        """Tokens × features to heads × tokens × features of one head."""
        return state.reshape(len(state), self._heads, -1).swapaxes(0, 1)

    def _linear(self, state: Array, name: str) -> Array:
        return state @ self._weights[f"{name}.weight"].T + self._weights[f"{name}.bias"]

    def _normalize(self, state: Array, name: str) -> Array:
        centred = state - state.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self._epsilon)
        return centred / deviation * self._weights[f"{name}.weight"] + self._weights[f"{name}.bias"]


def _softmax(scores: Array) -> Array:
    exponents = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return exponents / exponents.sum(axis=-1, keepdims=True)


def _gelu(state: Array) -> Array:
    return state * 0.5 * (1 + _erf(state / math.sqrt(2)))


def _erf(values: Array) -> Array:
    """numpy has no erf. Abramowitz and Stegun, 7.1.26: within 1.5e-7. https://personal.math.ubc.ca/~cbm/aands/"""
    t = 1 / (1 + 0.3275911 * np.abs(values))
    series = 0.0
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + coefficient) * t
    return np.sign(values) * (1 - series * np.exp(-(values**2)))
