"""`python -m pipeline.packaging RUN --data DIR --name NAME --version X.Y.Z --out weights`."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from pipeline.errors import ModelPackageError
from pipeline.packaging.run_record import PackagingError
from pipeline.packaging.writing import write_package
from pipeline.training.datasets.fracatlas import DatasetError


def _arguments(given: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pipeline.packaging", description=__doc__)
    parser.add_argument("run", type=Path, help="the run's folder, with best.pt")
    parser.add_argument(
        "--data", type=Path, required=True, help="the fracatlas folder it was trained on"
    )
    parser.add_argument("--name", default="fracture-net", help="default: %(default)s")
    parser.add_argument("--version", required=True, help="x.y.z, not published yet")
    parser.add_argument("--out", type=Path, required=True, help="the folder of packages")
    parser.add_argument(
        "--draws", type=int, default=1000, help="bootstrap samples (default: %(default)s)"
    )
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Packages a run; 0 if it was written, verified and replayed, else 1 and a line that says why."""
    asked = _arguments(given)
    try:
        folder = write_package(
            asked.run,
            asked.out,
            data=asked.data,
            name=asked.name,
            version=asked.version,
            draws=asked.draws,
            said=lambda line: print(line, flush=True),
        )
    except (PackagingError, ModelPackageError, DatasetError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{folder}: written, verified, golden input replayed")
    return 0


if __name__ == "__main__":
    os.nice(10)  # a training or a node on the same machine goes first
    sys.exit(main())
