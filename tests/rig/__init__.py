"""The test rig: the deployed handlers on moto, with AWS's events, limits and semantics."""
