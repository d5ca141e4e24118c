"""`python -m pipeline.packaging RUN [RUN...] --data DIR --version X.Y.Z --out weights`; so does `dicom-node model package`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.packaging.held_out import TrainingData
from pipeline.training.datasets.grouping import Grouping
from pipeline.training.datasets.layouts import LAYOUTS
from pipeline.training.datasets.problems import DatasetError

NEEDS = 'packaging measures with scikit-learn and pycocotools: pip install "fracture-node[training]"'


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.packaging", description=__doc__)
    parser.add_argument(
        "runs", type=Path, nargs="+", help="the run's folder, or the folders of all folds"
    )
    parser.add_argument("--data", type=Path, required=True, help="the films it was trained on")
    parser.add_argument("--layout", choices=LAYOUTS, help="default: found by the files")
    parser.add_argument(
        "--group-by", default="", help="a pattern for file names that names the patient"
    )
    parser.add_argument(
        "--each-film-alone", action="store_true", help="every film is of another patient"
    )
    parser.add_argument("--citation", default="", help="how the owner of the data wants them cited")
    parser.add_argument("--licence", default="", help="the licence of the data")
    parser.add_argument("--name", default="fracture-net", help="default: %(default)s")
    parser.add_argument("--version", required=True, help="x.y.z, not published yet")
    parser.add_argument("--out", type=Path, required=True, help="the folder of packages")
    parser.add_argument(
        "--draws", type=int, default=1000, help="bootstrap samples (default: %(default)s)"
    )
    parser.add_argument(
        "--gate",
        action="store_true",
        help="fit a gate that refuses pictures that are no films of limbs",
    )
    parser.add_argument(
        "--outliers", type=Path, help="real pictures to try the gate on: a folder for each kind"
    )
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Packages runs; 0 if the package was written, verified and replayed, else 1 and a line that says why."""
    asked = _arguments(given)
    try:
        from pipeline.packaging.packing import write_package

        folder = write_package(
            asked.runs,
            asked.out,
            data=TrainingData(
                asked.data,
                asked.layout,
                Grouping(asked.group_by, asked.each_film_alone),
                asked.citation,
                asked.licence,
            ),
            name=asked.name,
            version=asked.version,
            draws=asked.draws,
            gated=asked.gate,
            outliers=asked.outliers,
            said=lambda line: print(line, flush=True),
        )
    except ModuleNotFoundError as error:
        print(f"{error}; {NEEDS}", file=sys.stderr)
        return 1
    except (PipelineError, DatasetError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{folder}: written, verified, golden input replayed")
    return 0


if __name__ == "__main__":
    os.nice(10)  # a training or a node on the same machine goes first
    sys.exit(main())
