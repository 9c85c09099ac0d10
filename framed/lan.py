"""The address of this machine in the home's network."""

import ipaddress
import socket

import psutil

_NOT_AT_HOME = ("lo", "docker", "veth", "br-", "virbr", "tun", "wg", "tailscale")
"""How the names of interfaces begin that no frame in the home can reach."""


def lan_address() -> str:
    """One that others at home can reach; loopback where there is none."""
    found = []
    for name, addresses in psutil.net_if_addrs().items():
        if name.startswith(_NOT_AT_HOME):
            continue
        for address in addresses:
            if address.family == socket.AF_INET and ipaddress.ip_address(address.address).is_private:
                found.append(address.address)
    return min(found, key=lambda ip: not ip.startswith("192.168."), default="127.0.0.1")
