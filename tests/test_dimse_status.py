"""What an archive's answer means for a delivery."""

from __future__ import annotations

import pytest

from dicom_node.dimse_status import Judgement, judge


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        (0x0000, Judgement.DELIVERED),
        (0xB000, Judgement.DELIVERED_WITH_WARNING),
        (0xA700, Judgement.RETRY),
        (0x0110, Judgement.RETRY),
        (0xA900, Judgement.REFUSED),
        (0xC000, Judgement.REFUSED),
        (0x0122, Judgement.REFUSED),
        (0xA770, Judgement.DELIVERED_WITH_WARNING),
        (0xA771, Judgement.REFUSED),
        (0xA774, Judgement.REFUSED),
        (0xA775, Judgement.RETRY),
    ],
)
def test_only_what_may_pass_is_tried_again(status: int, meaning: Judgement) -> None:
    """Lack of resources and processing failures; what dcm4chee says of rejection notes stays as it is."""
    assert judge(status) is meaning
