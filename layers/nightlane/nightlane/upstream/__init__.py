"""The inference endpoint that the workers call."""
