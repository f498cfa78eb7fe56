"""Which addresses the internet can route to, so that webhooks cannot reach what only their sender can."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

# https://www.rfc-editor.org/rfc/rfc6052#section-2.1
NAT64 = IPv6Network("64:ff9b::/96")
# Not in the list of every Python 3.11: https://www.rfc-editor.org/rfc/rfc8215 and …/rfc6890
LOCAL_NAT64 = IPv6Network("64:ff9b:1::/48")
PROTOCOL_ASSIGNMENTS = IPv4Network("192.0.0.0/24")


def is_public(address: str) -> bool:
    """Whether an IP address is global unicast, and so is any IPv4 address inside it. False for anything else.

    https://www.iana.org/assignments/iana-ipv4-special-registry
    """
    try:
        parsed = ip_address(address)
    except ValueError:
        return False
    if isinstance(parsed, IPv6Address):
        if (inner := _inner_address(parsed)) is not None:
            return _is_global_unicast(inner)
        if parsed.is_site_local or parsed.is_reserved or parsed in LOCAL_NAT64:
            return False
    return _is_global_unicast(parsed)


def _inner_address(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that packets to this address end up at; None if it is a plain IPv6 address."""
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour


def _is_global_unicast(address: IPv4Address | IPv6Address) -> bool:
    return address.is_global and not address.is_multicast and address not in PROTOCOL_ASSIGNMENTS
