"""Presentation contexts as the ledger keeps them: JSON in which each UID stands once."""

from __future__ import annotations

import json
from collections.abc import Iterable

from dicom_node.records import ProposedContext


def dump_contexts(contexts: Iterable[ProposedContext]) -> str:
    """The text of a row."""
    numbers: dict[str, int] = {}

    def number(uid: str) -> int:
        return numbers.setdefault(uid, len(numbers))

    rows = [
        [
            one.id,
            number(one.abstract_syntax),
            [number(uid) for uid in one.transfer_syntaxes],
            one.result,
            number(one.accepted) if one.accepted else None,
        ]
        for one in contexts
    ]
    return json.dumps({"uids": list(numbers), "contexts": rows}, separators=(",", ":"))


def load_contexts(text: str) -> tuple[ProposedContext, ...]:
    """The contexts of a row's text."""
    kept = json.loads(text)
    uids = kept["uids"]
    return tuple(
        ProposedContext(
            id=row[0],
            abstract_syntax=uids[row[1]],
            transfer_syntaxes=tuple(uids[number] for number in row[2]),
            result=row[3],
            accepted="" if row[4] is None else uids[row[4]],
        )
        for row in kept["contexts"]
    )
