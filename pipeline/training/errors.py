"""What can end a training.

TrainingError              settings, weights or films that will not do, or a loss that is no number
└── TrainingInterrupted    somebody stopped it; the finished epochs are kept
"""

from __future__ import annotations

from pathlib import Path


class TrainingError(Exception):
    """The training cannot begin or go on; names the setting or the file, its value and the remedy."""


class TrainingInterrupted(TrainingError):  # noqa: N818 - nothing went wrong
    """Stopped by hand; `folder` holds `last.pt` with `epoch` finished epochs."""

    def __init__(self, folder: Path, epoch: int, epochs: int) -> None:
        super().__init__(
            f"stopped; {folder / 'last.pt'} holds {epoch} of {epochs} epochs: the same command with "
            "--resume goes on from there"
        )
        self.folder, self.epoch = folder, epoch
