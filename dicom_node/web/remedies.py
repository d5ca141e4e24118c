"""What to do about an association, or a context of one, that was refused."""

from __future__ import annotations

from pydicom.uid import UID

from dicom_node.dimse_status import ContextResult
from dicom_node.records import ProposedContext
from dicom_node.register.traffic import AssociationLine
from dicom_node.settings import Settings


def remedy_for_association(line: AssociationLine, settings: Settings) -> str:
    """For a rejected association; "" for one that was accepted."""
    if line.accepted:
        return ""
    ours = " or ".join(repr(title) for title in settings.node.called)
    remedies = {
        "called AE title": f"it called {line.called_ae_title!r}: let it call {ours}, or add that title to "
        "[node] ae_titles; case counts",
        "calling AE title": f"if it may send, add it: [[peers]] with ae_title = {line.calling_ae_title!r} and "
        f"hosts = [{line.address!r}]; case counts",
        "no peers": f"add the sender: [[peers]] with ae_title = {line.calling_ae_title!r} and "
        f"hosts = [{line.address!r}]",
        "address": f"if that is its address, add {line.address!r} to hosts of the [[peers]] "
        f"{line.calling_ae_title!r}",
        "node.max_associations": "let senders keep fewer associations open, or raise [node] max_associations",
        "max_associations": "let this sender keep fewer associations open, or raise max_associations of its [[peers]]",
    }  # fmt: skip
    return next((words for word, words in remedies.items() if line.reason.startswith(word)), "")


def result_words(context: ProposedContext) -> str:
    """What became of a proposed context."""
    if context.result is None:
        return "not answered: the association was rejected"
    if context.result == ContextResult.ACCEPTANCE:
        return "accepted"
    return ContextResult(context.result).words


def remedy_for_context(context: ProposedContext) -> str:
    """For a context that was refused; "" for one that was accepted."""
    if context.result == ContextResult.ABSTRACT_SYNTAX_NOT_SUPPORTED:
        return "this node takes CR and DX images; accept_and_ignore of a peer takes what comes along and drops it"
    if context.result == ContextResult.TRANSFER_SYNTAXES_NOT_SUPPORTED:
        return "let it propose Explicit or Implicit VR Little Endian too"
    return ""


def uid_name(uid: str) -> str:
    """The standard's name of a UID; the UID itself where it has none."""
    return str(UID(uid).name) or uid
