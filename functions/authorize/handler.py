"""authorize: finds the tenant of a bearer key. API Gateway caches the result."""

from typing import Any

from nightlane.aws.table.keys import DynamoKeys
from nightlane.domain.keys import Tenants
from nightlane.domain.quotas import NO_QUOTA, quota_to_text
from nightlane.entry import Handler, on_aws
from nightlane.resource_settings import AuthorizeSettings

HOW_TO_CREATE_A_KEY = "Create one with `nightlane keys create`."


def make_handler(keys: Tenants) -> Handler:
    def handler(event: dict[str, Any], context: Any) -> dict[str, Any]:
        scheme, _, key = event["authorizationToken"].partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            # API Gateway returns 401 for exactly this message.
            raise Exception("Unauthorized")
        # No key has other characters, and some of them cannot be encoded.
        found = keys.find_key(key.strip()) if key.isascii() else None
        if found is None:
            message = f"Incorrect API key provided: {_mask(key.strip())}. {HOW_TO_CREATE_A_KEY}"
            return _policy(event, "Deny", {"message": message})
        # The context can only have strings, numbers and booleans.
        quota = {} if found.quota == NO_QUOTA else {"quota": quota_to_text(found.quota)}
        return _policy(event, "Allow", {"tenant": found.tenant} | quota)

    return handler


handler = on_aws(
    AuthorizeSettings,
    lambda settings, clients: make_handler(DynamoKeys(clients.dynamodb, settings.table_name)),
)


def _policy(event: dict[str, Any], effect: str, context: dict[str, str]) -> dict[str, Any]:
    # The policy is cached for the key, so it must cover every route of the stage.
    api, stage, *_ = event["methodArn"].split("/")
    statement = {"Action": "execute-api:Invoke", "Effect": effect, "Resource": f"{api}/{stage}/*"}
    return {
        "principalId": context.get("tenant", "nobody"),
        "policyDocument": {"Version": "2012-10-17", "Statement": [statement]},
        "context": context,
    }


def _mask(key: str) -> str:
    printable = "".join(character for character in key if character.isalnum() or character in "-_")
    return f"{printable[:3]}****{printable[-4:]}" if len(printable) >= 16 else "****"
