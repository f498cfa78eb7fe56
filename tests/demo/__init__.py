"""Tests of the demo with a real model, which need `make .venv/.embeddings`."""
