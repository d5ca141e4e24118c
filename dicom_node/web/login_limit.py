"""Guessing passwords: slowed down by name and by address, and one at a time, for each costs 64 MB and much of a processor."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv6Address, IPv6Network, ip_address
from threading import BoundedSemaphore, Lock
from typing import TypeVar

from limits import RateLimitItemPerMinute, storage, strategies

from dicom_node.web.problem import ProblemError

# Failed log-ins: of one name from one address, and from one address under any name.
_PER_NAME, _PER_ADDRESS = RateLimitItemPerMinute(5, 5), RateLimitItemPerMinute(30, 5)
_MOST_WAITING = 8
T = TypeVar("T")


class LoginLimit:
    """Counts failed log-ins in a moving window. Threads may share one."""

    def __init__(self) -> None:
        self._window = strategies.MovingWindowRateLimiter(storage.MemoryStorage())
        self._places, self._turn = BoundedSemaphore(_MOST_WAITING), Lock()

    def tried(self, name: str, address: str, check: Callable[[], T | None]) -> T | None:
        """What `check` says of a password; None counts as a failure.

        Raises:
            ProblemError: 429, after five failures of that name, or thirty from that address, in five minutes; or too
                many try at once.
        """
        where = network_of(address)
        keys = ((_PER_NAME, f"{name.lower()}@{where}"), (_PER_ADDRESS, where))
        # Before anybody waits for it: a flood must not keep others waiting.
        self._refuse_many(keys)
        if not self._places.acquire(blocking=False):
            raise ProblemError(429, "Too many log-ins at once", "Try again.", {"Retry-After": "5"})
        try:
            with self._turn:
                # Those that were tried meanwhile count, too.
                self._refuse_many(keys)
                found = check()
                if found is None:
                    for item, key in keys:
                        self._window.hit(item, key)
                return found
        finally:
            self._places.release()

    def _refuse_many(self, keys: tuple[tuple[RateLimitItemPerMinute, str], ...]) -> None:
        if not all(self._window.test(item, key) for item, key in keys):
            raise ProblemError(
                429, "Too many failed log-ins", "Try again in five minutes.", {"Retry-After": "300"}
            )


def network_of(address: str) -> str:
    """Whoever has one IPv6 address has the 64 bits behind it, too (RFC 4291 2.5.4); IPv4 addresses as they are."""
    try:
        found = ip_address(address)
    except ValueError:
        return address
    if not isinstance(found, IPv6Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(IPv6Network((int(found), 64), strict=False))
