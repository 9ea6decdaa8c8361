"""Which addresses are public: whoever names a partner must not reach our own network by it.

Invariant: an address that leads to another one is judged by where it leads, and what cannot be
read is not public. The table of special addresses that each Python carries is never trusted alone.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

__all__ = ["is_public"]

_REFUSED_V4: Final = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments; a cloud's metadata among them
    IPv4Network("192.88.99.0/24"),  # relays of 6to4
    IPv4Network("168.63.129.16/32"),  # Azure's own, within every virtual machine
)

_UNICAST: Final = IPv6Network("2000::/3")
"""All that is assigned for the world. Outside of it stand loopback, link-local, unique local,
site-local, multicast, IPv4-compatible and the translators' own prefixes."""

_REFUSED_V6: Final = (
    IPv6Network("2001::/23"),  # protocol assignments; Teredo's tunnels among them
    IPv6Network("2001:db8::/32"),  # documentation
    IPv6Network("2002::/16"),  # 6to4: a tunnel to the IPv4 address within
    IPv6Network("3fff::/20"),  # documentation
)

_NAT64: Final = IPv6Network("64:ff9b::/96")
_LOW_32_BITS: Final = 0xFFFF_FFFF


def is_public(text: str) -> bool:
    """Whether this is the address of one host on the public internet."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        inner = _find_inner(address)
        if inner is None:
            return _is_public_v6(address)
        address = inner
    return (
        address.is_global
        and not address.is_multicast
        and not any(address in network for network in _REFUSED_V4)
    )


def _find_inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that is really reached, where a host or a translator unpacks it."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return IPv4Address(int(address) & _LOW_32_BITS) if address in _NAT64 else None


def _is_public_v6(address: IPv6Address) -> bool:
    return (
        address in _UNICAST
        and address.scope_id is None
        and not any(address in network for network in _REFUSED_V6)
    )
