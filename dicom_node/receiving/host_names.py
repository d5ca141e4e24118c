"""Is this address one of a peer's hosts: addresses, networks, and names looked up with a memory."""

from __future__ import annotations

import ipaddress
import socket
import threading
from collections.abc import Callable, Iterable

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
LookUp = Callable[[str], frozenset[str]]

KEPT_SECONDS = 60.0
# A name that could not be looked up is asked for again sooner.
FAILURE_KEPT_SECONDS = 5.0


def look_up(name: str) -> frozenset[str]:
    """The addresses of a name from the system's resolver; none where it knows none."""
    try:
        return frozenset(str(entry[4][0]) for entry in socket.getaddrinfo(name, None))
    except OSError:
        return frozenset()


def parse_address(text: str) -> Address | None:
    """An address as people write it; an IPv4 address inside an IPv6 one is that IPv4 address."""
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped if isinstance(mapped, ipaddress.IPv4Address) else address


class HostNames:
    """Names and their addresses, remembered for a minute; `now` counts seconds."""

    def __init__(self, now: Callable[[], float], look_up: LookUp = look_up) -> None:
        self._now, self._look_up = now, look_up
        self._known: dict[str, tuple[float, frozenset[str]]] = {}
        self._lock = threading.Lock()

    def include(self, hosts: Iterable[str], address: str) -> bool:
        """Whether `address` is one of `hosts`: an address, in a network (CIDR), or of a name."""
        asked = parse_address(address)
        return asked is not None and any(self._is(host, asked) for host in hosts)

    def _is(self, host: str, asked: Address) -> bool:
        if "/" in host:
            return asked in ipaddress.ip_network(host, strict=False)
        address = parse_address(host)
        if address is not None:
            return address == asked
        return any(parse_address(found) == asked for found in self._addresses(host))

    def _addresses(self, name: str) -> frozenset[str]:
        now = self._now()
        with self._lock:
            kept_until, addresses = self._known.get(name, (now, frozenset()))
        if now < kept_until:
            return addresses
        # Outside the lock: a resolver that hangs holds up only those who ask for this name.
        addresses = self._look_up(name)
        kept = KEPT_SECONDS if addresses else FAILURE_KEPT_SECONDS
        with self._lock:
            self._known[name] = (now + kept, addresses)
        return addresses
