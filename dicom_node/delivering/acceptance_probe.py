"""What an archive accepts, SOP class by transfer syntax: asked in an association that sends nothing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pynetdicom.presentation import build_context

from dicom_node.delivering.association import Remote, negotiate, release
from dicom_node.delivering.storage_scu import CONTEXTS_AT_MOST
from dicom_node.dimse_status import ContextResult


@dataclass(frozen=True)
class Acceptance:
    """The answers by SOP Class UID and Transfer Syntax UID; what was not answered at all is NO_REASON."""

    results: Mapping[tuple[str, str], ContextResult]
    milliseconds: float

    def accepted(self, syntaxes: Iterable[str]) -> dict[str, frozenset[str]]:
        """Which of `syntaxes` are accepted of each SOP class; a class of which none is, is left out."""
        wanted = frozenset(syntaxes)
        found: dict[str, frozenset[str]] = {}
        for (sop_class, syntax), result in self.results.items():
            if result is ContextResult.ACCEPTANCE and syntax in wanted:
                found[sop_class] = found.get(sop_class, frozenset()) | {syntax}
        return found


def probe_acceptance(
    remote: Remote, calling_ae_title: str, pairs: Sequence[tuple[str, str]]
) -> Acceptance:
    """Proposes each pair (SOP Class UID, Transfer Syntax UID) in a context of its own, as only that tells of each.

    An association holds 128 contexts; more pairs take more associations, one after the other.

    Raises:
        DestinationDownError: no association.
    """
    began = time.perf_counter()
    results: dict[tuple[str, str], ContextResult] = {}
    for first in range(0, len(pairs), CONTEXTS_AT_MOST):
        part = pairs[first : first + CONTEXTS_AT_MOST]
        contexts = [build_context(sop_class, syntax) for sop_class, syntax in part]
        association = negotiate(remote, calling_ae_title, contexts)
        answered = [*association.accepted_contexts, *association.rejected_contexts]
        # pynetdicom numbers the contexts of a request 1, 3, 5 ... in their order.
        results |= {part[one.context_id // 2]: ContextResult(one.result) for one in answered}
        release(association)
    return Acceptance(results, 1000 * (time.perf_counter() - began))
