"""What can go wrong in the node; each leaf is permanent or transient.

NodeError
├── SettingsError             a settings file that cannot be used           (permanent)
├── SpoolError                bytes could not be made safe on disk          (transient)
│   └── NoRoomError           less disk free than `minimum_free_gb`         (transient)
├── LedgerError               the database did not take it                  (transient)
├── AccountError              a user, role, password or token that cannot be (permanent)
├── CompositionError          a result object could not be built            (permanent)
└── DeliveryError             a destination did not take an object
    ├── DestinationDownError  no association, no answer, an abort           (transient)
    │   └── NothingAcceptedError  an association, but none of our SOP classes   (transient)
    └── ObjectRefusedError    a C-STORE status that says no
        └── ClassRefusedError     no accepted context that could carry the object
"""

from __future__ import annotations


class NodeError(Exception):
    """Base of all errors of this package."""

    transient = False


class SettingsError(NodeError):
    """A settings file that cannot be used; the message names file, key, value and remedy."""


class SpoolError(NodeError):
    """The bytes could not be made safe on disk."""

    transient = True


class NoRoomError(SpoolError):
    """Less disk is free than the settings demand: A700 until there is room."""


class LedgerError(NodeError):
    """The database did not take it."""

    transient = True


class AccountError(NodeError):
    """A user, role, password or token that cannot be; the message says why."""


class CompositionError(NodeError):
    """A result object could not be built from this source; the message says what is wrong with it."""


class DeliveryError(NodeError):
    """A destination did not take an object."""


class DestinationDownError(DeliveryError):
    """No association, no answer or an abort: tried again later. `remedy`: what to look at, "" where that is unknown."""

    transient = True

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.remedy = remedy


class NothingAcceptedError(DestinationDownError):
    """An association, and no presentation context on it: a set-up that somebody mends, whatever C-ECHO says."""


class ObjectRefusedError(DeliveryError):
    """The destination said no to this object: `status` is its answer, None without an accepted context."""

    def __init__(self, message: str, status: int | None) -> None:
        super().__init__(message)
        self.status = status


class ClassRefusedError(ObjectRefusedError):
    """No accepted presentation context could carry the object.

    `is_final`: the answer was that its class, or each transfer syntax that we have for it, is not supported (PS3.8
    table 9-18); a context that was rejected without such a reason may be accepted next time.
    """

    def __init__(self, message: str, is_final: bool) -> None:
        super().__init__(message, None)
        self.is_final = is_final
