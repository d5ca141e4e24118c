"""Real pictures of other kinds: they only measure a gate, none is fitted on them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from pipeline.errors import ScopeError, UnreadableError
from pipeline.film_file import read_dataset
from pipeline.image_file import read_image_file
from pipeline.pixel_conversion import read_radiograph
from pipeline.radiograph import Radiograph

_IMAGES = (".png", ".jpg", ".jpeg")


def real_pictures(
    folder: Path, said: Callable[[str], None] = print
) -> Iterator[tuple[str, Radiograph]]:
    """Kind and film of every picture in a folder of folders, each named after its kind.

    PNG, JPEG or DICOM; the header's gate is passed over, since it is the pixels' that is measured. What the node
    refuses before any gate, colour or damage, is named through `said` and left out.
    """
    for path in sorted(folder.glob("*/*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        try:
            image = path.suffix.lower() in _IMAGES
            film = read_image_file(path) if image else read_radiograph(read_dataset(path))
        except (ScopeError, UnreadableError) as error:
            said(f"{path}: {error}, left out")
            continue
        yield path.parent.name, film
