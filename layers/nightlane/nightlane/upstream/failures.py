"""What went wrong when there is no answer."""

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError

from nightlane.domain.inference.ports import Kind, NoAnswer
from nightlane.upstream.reading import NOT_OFFERED

MAX_SHOWN_CHARACTERS = 200


def is_disconnection(error: Exception) -> bool:
    """Whether the connection was closed, rather than never opened."""
    return isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError) and not isinstance(
        error, aiohttp.ClientConnectorError
    )


def no_answer(error: Exception) -> NoAnswer:
    """Classify an exception of aiohttp."""
    reason = str(error) or type(error).__name__
    match error:
        case aiohttp.ConnectionTimeoutError():
            return NoAnswer(Kind.UNREACHABLE, reason)
        case TimeoutError():
            return NoAnswer(Kind.TIMEOUT, reason if str(error) else "no answer in time")
        case aiohttp.ClientPayloadError() if isinstance(error.__cause__, ContentEncodingError):
            return NoAnswer(Kind.UNREADABLE, f"its body is not in its content-encoding: {reason}")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientPayloadError():
            return NoAnswer(Kind.DISCONNECTED, reason)
        case aiohttp.ClientConnectorError() | aiohttp.ClientSSLError() | aiohttp.ClientHttpProxyError():
            return NoAnswer(Kind.UNREACHABLE, reason)
        case aiohttp.ClientResponseError() if "content-encoding" in error.message:
            return NoAnswer(Kind.UNREADABLE, f"its content-encoding {NOT_OFFERED}")
        case aiohttp.ClientResponseError():
            return NoAnswer(Kind.UNREADABLE, f"not HTTP: {reason}")
        case ValueError():
            return NoAnswer(Kind.MISCONFIGURED, reason)
        case aiohttp.ClientOSError():
            return NoAnswer(Kind.DISCONNECTED, reason)
    return NoAnswer(Kind.UNREACHABLE, reason)


def redirected(status: int, location: str, upstream: str) -> NoAnswer:
    """Do not follow: the key would be sent to another host, or the POST become a GET."""
    where = shown(location.partition("?")[0]) or "nowhere"
    reason = (
        f"it redirects to {where}, and redirects are not followed: correct the url of upstream '{upstream}'"
    )
    return NoAnswer(Kind.REDIRECT, f"{status}: {reason}")


def shown(header: str) -> str:
    """Return a header as valid text, shortened if necessary."""
    text = header[:MAX_SHOWN_CHARACTERS]
    return text if text.isascii() else text.encode(errors="replace").decode()
