"""`nightlane deploy`, `doctor`, `status` and `destroy`: the CDK CLI, with checks before and after it.

Only `account` and `deployed` read AWS; the checks judge what they return.
"""
