"""The mock inference endpoint: the model, its process, and the command that serves it."""
