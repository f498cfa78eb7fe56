"""Signs requests to an upstream with the credentials of this process (SigV4).

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv.html
"""

from collections.abc import Mapping

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import BotoCoreError, NoCredentialsError

from nightlane.aws.clients import Clients


class SigV4Signer:
    """`upstream.credentials.Signer`. Lambda's role, or on one machine whatever boto3 finds there."""

    def __init__(self, clients: Clients, service: str, region: str) -> None:
        self._clients = clients
        self._service = service
        self._region = region

    def sign(self, method: str, url: str, body: bytes | None) -> Mapping[str, str]:
        """Return the headers of the signature. Raises: ValueError: there are no valid credentials."""
        request = AWSRequest(method, url, data=body or b"")
        try:
            credentials = self._clients.credentials
            if credentials is None:
                raise NoCredentialsError
            SigV4Auth(credentials.get_frozen_credentials(), self._service, self._region).add_auth(request)
        except BotoCoreError as error:
            raise ValueError(str(error)) from error
        return dict(request.headers.items())
