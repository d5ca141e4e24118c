"""What it costs to compose every object of a 2500 x 2048 film, on one core: milliseconds, shares, memory.

    python benchmarks/composing.py --json benchmarks/results/composing.json

Each object is composed to the bytes of its DICOM file, a few times after one to warm up; medians count. Each time the
reading says another probability, as another film's would: of what is kept from one film to the next (letters, lines of
text) only what all films share is met again. A summary's film is reduced first, as the worker does it. Memory is the
highest resident size of the process while composing, above what it was before the first (Linux). The aims: 250 ms for all,
400 MB. The naive way beside it: the same overlay pixels through highdicom's SCImage and `save_as`.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

import numpy as np
from pydicom.dataset import Dataset

PROJECT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(PROJECT))

from dicom_node.records import StudyFindings  # noqa: E402
from dicom_node.results.composition import DestinationProfile  # noqa: E402
from dicom_node.results.explanation_capture import compose_explanation  # noqa: E402
from dicom_node.results.key_objects import compose_key_objects  # noqa: E402
from dicom_node.results.presentation_state import compose_presentation_state  # noqa: E402
from dicom_node.results.reduced_film import reduce_film  # noqa: E402
from dicom_node.results.secondary_capture import compose_overlay  # noqa: E402
from dicom_node.results.segmentation import compose_segmentation  # noqa: E402
from dicom_node.results.structured_report import compose_report  # noqa: E402
from dicom_node.results.study_summary import compose_summary  # noqa: E402
from dicom_node.results.study_summary_layout import LARGEST_SIDE  # noqa: E402
from pipeline.activation_map import Explanation  # noqa: E402
from pipeline.explanation import choose_arrow  # noqa: E402
from pipeline.findings import ImageFindings, Region  # noqa: E402
from pipeline.pixel_conversion import read_radiograph  # noqa: E402
from pipeline.radiograph import FloatImage, Radiograph  # noqa: E402
from tests.phantoms import phantom  # noqa: E402
from tests.results.hand_made import CONTEXT, POSITIVE, read_back, study_image  # noqa: E402

ROWS, COLUMNS = 2500, 2048
AIM_MS, AIM_MB = 250, 400
PLACE = {"revision": 1, "instance_number": 1}


def findings(number: int = 0) -> ImageFindings:
    """Two regions with outlines of sixty points, as heat maps have them; every `number` has probabilities of its own."""
    share = number / 100
    turn = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    regions = []
    for region, (x, y) in zip(POSITIVE.regions[:2], ((700, 900), (1300, 1600)), strict=True):
        outline = tuple((x + 120 * np.cos(t), y + 90 * np.sin(t)) for t in turn)
        box = (x - 120.0, y - 90.0, x + 120.0, y + 90.0)
        regions.append(Region(box, region.probability - share, region.outcome, outline))
    return replace(
        POSITIVE,
        rows=ROWS,
        columns=COLUMNS,
        fracture_probability=0.98 - share,
        regions=tuple(regions),
    )


def hot_place() -> FloatImage:
    """A map with one warm place, as large as a joint."""
    y, x = np.mgrid[:ROWS, :COLUMNS].astype(np.float32)
    return np.asarray(np.exp(-((x - 700) ** 2 + (y - 900) ** 2) / 2e5), dtype=np.float32)


def contestants(
    source: Dataset, film: Radiograph, hot: FloatImage, read: ImageFindings
) -> dict[str, Callable[[], object]]:
    """Each object's composing, as the workers call it."""
    image = study_image(source, read)
    study = StudyFindings(str(source.StudyInstanceUID), 1, CONTEXT.composed_at, (image,))
    headers = {image.sop_instance_uid: source}
    profile = DestinationProfile("archive")
    arrow = choose_arrow(hot)
    return {
        "sr": lambda: compose_report(study, headers, profile, CONTEXT),
        "sc": lambda: compose_overlay(image, source, film, profile, CONTEXT, **PLACE),
        "summary": lambda: compose_summary(
            study,
            headers,
            {image.sop_instance_uid: reduce_film(film, LARGEST_SIDE)},
            profile,
            CONTEXT,
        ),
        "gradcam": lambda: compose_explanation(
            image, source, film, Explanation(hot, arrow), profile, CONTEXT, **PLACE
        ),
        "gsps": lambda: compose_presentation_state(image, source, film, profile, CONTEXT, **PLACE),
        "seg": lambda: compose_segmentation(image, source, film, profile, CONTEXT, **PLACE),
        "kos": lambda: compose_key_objects(study, headers, profile, CONTEXT),
    }


def naive(source: Dataset, film: Radiograph) -> Callable[[], object]:
    """The overlay's own pixels through highdicom's constructor: what most would write first."""
    from highdicom.sc import SCImage
    from pydicom.uid import generate_uid

    overlay = compose_overlay(
        study_image(source, findings()), source, film, DestinationProfile("a"), CONTEXT, **PLACE
    )
    pixels = read_back(overlay).pixel_array

    def compose() -> bytes:
        made = SCImage.from_ref_dataset(
            ref_dataset=source,
            pixel_array=pixels,
            photometric_interpretation="RGB",
            bits_allocated=8,
            coordinate_system="PATIENT",
            series_instance_uid=generate_uid(),
            sop_instance_uid=generate_uid(),
            series_number=1,
            instance_number=1,
            manufacturer="naive",
            patient_orientation=("L", "F"),
        )
        file = io.BytesIO()
        made.save_as(file)
        return file.getvalue()

    return compose


def timed(composings: Sequence[Callable[[], object]]) -> tuple[float, float]:
    """Median and least milliseconds of all but the first, which warms up."""
    composings[0]()
    spent = []
    for compose in composings[1:]:
        began = time.perf_counter()
        compose()
        spent.append(1000 * (time.perf_counter() - began))
    return median(spent), min(spent)


def resident(key: str) -> float:
    """A line of /proc/self/status in MB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise KeyError(key)


def main() -> int:
    """Prints the table; 1 if an aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    source = phantom(modality="DX", rows=ROWS, columns=COLUMNS)
    film = read_radiograph(source)
    source.AcquisitionDateTime = datetime(2024, 5, 6, tzinfo=UTC).strftime("%Y%m%d")
    hot = hot_place()
    work = [contestants(source, film, hot, findings(number)) for number in range(asked.rounds + 1)]
    floor = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak starts anew
    spent = {name: timed([each[name] for each in work]) for name in work[0]}
    above = max(0.0, resident("VmHWM") - floor)
    beside, _ = timed([naive(source, film)] * (asked.rounds + 1))
    total, least = (sum(each[place] for each in spent.values()) for place in (0, 1))
    print(f"{ROWS} x {COLUMNS}, one core, medians of {asked.rounds}, shares, the least")
    for name, (ms, quickest) in spent.items():
        print(f"  {name:8} {ms:8.1f} ms  {ms / total:5.0%} {quickest:8.1f} ms")
    print(f"  all      {total:8.1f} ms  (aim {AIM_MS}) {least:4.1f} ms")
    print(f"  overlay through highdicom's SCImage, its pixels drawn before: {beside:.1f} ms")
    print(f"  memory above the process's floor: {above:.0f} MB (aim {AIM_MB})")
    if asked.json:
        record = {
            "ms": {name: ms for name, (ms, _) in spent.items()},
            "total_ms": total,
            "least_total_ms": least,
            "naive_overlay_ms": beside,
            "above_floor_mb": above,
        }
        asked.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return int(total > AIM_MS or above > AIM_MB)


if __name__ == "__main__":
    sys.exit(main())
