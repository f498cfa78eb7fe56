"""Nightlane: an OpenAI-compatible Batch API in front of any OpenAI-compatible endpoint.

Rooms: `domain` (what a batch is and does) knows none of the others. `wire` (what clients see), `upstream`
(the inference endpoint) and `aws` (the only room that imports boto3) know the domain.
"""
