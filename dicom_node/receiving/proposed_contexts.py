"""What a peer proposed and what was answered, so much of it as is kept for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from dicom_node.dimse_status import ContextResult
from dicom_node.receiving.acceptor import Acceptor
from dicom_node.records import ProposedContext

_UID_LENGTH = 64


@dataclass(frozen=True)
class Kept:
    """How much is kept of one association's proposal: a stranger's must not fill the disk."""

    contexts: int
    transfer_syntaxes: int
    uids: int


# PS3.8 9.3.2.2 has room for 128 contexts; known senders propose up to some twenty transfer syntaxes in each.
KEPT: Final = Kept(contexts=128, transfer_syntaxes=24, uids=256)
KEPT_OF_REJECTED: Final = Kept(contexts=16, transfer_syntaxes=4, uids=32)


def kept_contexts(acceptor: Acceptor, kept: Kept = KEPT) -> tuple[tuple[ProposedContext, ...], bool]:
    """The proposed contexts in their order, and whether there were more, or more transfer syntaxes of one."""
    answered: dict[Any, Any] = {
        context.context_id: context
        for context in (*acceptor._accepted_cx.values(), *acceptor.rejected_contexts)
    }
    proposed = acceptor.requestor.primitive.presentation_context_definition_list
    # A sender says the same transfer syntaxes over and over.
    words: dict[str, str] = {}
    found: list[ProposedContext] = []
    is_capped = len(proposed) > kept.contexts
    for context in proposed[: kept.contexts]:
        syntaxes = context.transfer_syntax
        is_capped = is_capped or len(syntaxes) > kept.transfer_syntaxes
        for uid in (context.abstract_syntax, *syntaxes[: kept.transfer_syntaxes]):
            if uid not in words:
                words[uid] = _printable(uid)
        if len(words) > kept.uids:
            return tuple(found), True
        answer = answered.get(context.context_id)
        accepted = ""
        if answer is not None and answer.result == ContextResult.ACCEPTANCE:
            accepted = _printable(answer.transfer_syntax[0])
        found.append(
            ProposedContext(
                context.context_id,
                words[context.abstract_syntax],
                tuple([words[uid] for uid in syntaxes[: kept.transfer_syntaxes]]),
                None if answer is None else int(answer.result),
                accepted,
            )
        )
    return tuple(found), is_capped


def _printable(uid: Any) -> str:
    text = str(uid)
    if len(text) <= _UID_LENGTH and text.isprintable():
        return text
    return "".join(char if char.isprintable() else "?" for char in text[:_UID_LENGTH])
