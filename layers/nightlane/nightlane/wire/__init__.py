"""What clients see: OpenAI's requests, responses and errors, read and written. Pure."""
