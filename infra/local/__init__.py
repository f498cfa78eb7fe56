"""The one-machine home: the deployed handlers on moto, with AWS's events, limits and semantics."""
