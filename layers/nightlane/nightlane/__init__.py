"""Nightlane: an OpenAI-compatible Batch API in front of any OpenAI-compatible endpoint.

Rooms, in the order of the flow: `wire` (what clients see), `domain` (what a batch is and
does), `upstream` (the inference endpoint) and `aws` (the only room that imports boto3).
"""
