"""Parses and formats what clients see: OpenAI's requests, responses and errors. No I/O."""
