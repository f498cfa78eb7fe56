"""Nightlane: an OpenAI-compatible Batch API in front of any OpenAI-compatible endpoint.

`domain` (what a batch is and does) imports none of the other packages. `wire` (what clients see), `upstream`
(the inference endpoint) and `aws` (the only package that imports botocore) import the domain.
"""
