"""Which addresses may be connected to, class by class."""

from __future__ import annotations

import pytest

from catena.outside.addresses import is_public

PUBLIC = {
    "IPv4": ["1.1.1.1", "8.8.8.8", "93.184.216.34", "223.255.255.254"],
    "next to private IPv4": ["9.255.255.255", "11.0.0.0", "172.15.255.255", "172.32.0.0"],
    "next to link-local IPv4": ["169.253.255.255", "169.255.0.0"],
    "next to shared IPv4": ["100.63.255.255", "100.128.0.0"],
    "IPv6": ["2606:4700::1111", "2a00:1450:4001::1", "2001:4860:4860::8888"],
    "next to special IPv6": ["2001:200::1", "2001:db7::1", "2003::1"],
    "public IPv4 mapped into IPv6": ["::ffff:8.8.8.8"],
    "public IPv4 behind NAT64": ["64:ff9b::8.8.8.8"],
}

REFUSED = {
    "this host": ["0.0.0.0", "0.1.2.3", "::"],  # noqa: S104
    "loopback": ["127.0.0.1", "127.255.255.254", "::1"],
    "private IPv4": ["10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1"],
    "shared by carriers": ["100.64.0.1", "100.127.255.255"],
    "link-local": ["169.254.0.1", "fe80::1", "fe80::1%eth0", "febf::1", "2606:4700::1111%eth0"],
    "metadata of clouds": [
        "169.254.169.254",
        "169.254.170.2",
        "fd00:ec2::254",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
    ],
    "protocol assignments": ["192.0.0.1", "192.0.0.170", "2001::1", "2001:1::1", "2001:20::1"],
    "documentation": ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1", "3fff::1"],
    "benchmarks": ["198.18.0.1", "198.19.255.255", "2001:2::1"],
    "multicast": ["224.0.0.1", "232.1.1.1", "239.255.255.255", "ff02::1", "ff0e::1"],
    "reserved": ["240.0.0.1", "255.255.255.254", "4000::1", "e000::1"],
    "broadcast": ["255.255.255.255"],
    "unique local": ["fc00::1", "fdff::1"],
    "site-local": ["fec0::1", "feff::1"],
    "discard": ["100::1"],
    "segment routing": ["5f00::1"],
    "IPv4 mapped into IPv6": ["::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:a9fe:a9fe"],
    "IPv4-compatible IPv6": ["::127.0.0.1", "::8.8.8.8"],
    "IPv4 translated": ["::ffff:0:127.0.0.1", "::ffff:0:8.8.8.8"],
    "6to4": ["2002:7f00:1::", "2002:a9fe:a9fe::", "2002:808:808::1", "192.88.99.1"],
    "Teredo": ["2001:0:4136:e378:8000:63bf:3fff:fdd2"],
    "NAT64": ["64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b::a9fe:a9fe"],
    "a network's own NAT64": ["64:ff9b:1::8.8.8.8"],
    "no address": ["", "localhost", "127.1", "0x7f.0.0.1", "2130706433", "1.1.1.1 ", "1.1.1.01"],
}


@pytest.mark.parametrize("name", PUBLIC)
def test_public_addresses_may_be_called(name: str) -> None:
    """What is on the internet, whichever way it is written."""
    assert [address for address in PUBLIC[name] if not is_public(address)] == []


@pytest.mark.parametrize("name", REFUSED)
def test_other_addresses_may_not(name: str) -> None:
    """What leads into our own network, to nobody, to many, or through a tunnel."""
    assert [address for address in REFUSED[name] if is_public(address)] == []
