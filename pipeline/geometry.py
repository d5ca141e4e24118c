"""Where a point of the model's input lies in the film, and back.

Coordinates are pixels from the outer corner of the first pixel; boxes are half-open
`(x0, y0, x1, y1)`, as an SCOORD or a GSPS graphic with units PIXEL wants them (PS3.3 C.18.6).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

Box = tuple[float, float, float, float]
Point = tuple[float, float]


@dataclass(frozen=True)
class Placement:
    """How a film of `rows` x `columns` was laid into a square model input of `size` pixels.

    A film's point (x, y) lies at (x * scale_x + left, y * scale_y + top) of the input. The two
    scales differ only for films whose pixels are not square.
    """

    rows: int
    columns: int
    size: int
    scale_x: float
    scale_y: float
    left: float
    top: float

    def reduced(self, rows: int, columns: int) -> Placement:
        """The same for the film in `rows` x `columns` pixels."""
        return replace(
            self,
            rows=rows,
            columns=columns,
            scale_x=self.scale_x * self.columns / columns,
            scale_y=self.scale_y * self.rows / rows,
        )

    def point_to_film(self, point: Point) -> Point:
        """A point of the input in the film's pixels, clipped to the film."""
        x, y, _, _ = self.box_to_film((*point, *point))
        return x, y

    def box_to_film(self, box: Box) -> Box:
        """A box of the input in the film's pixels, clipped to the film."""
        x0, y0, x1, y1 = box
        return (
            min(max((x0 - self.left) / self.scale_x, 0.0), float(self.columns)),
            min(max((y0 - self.top) / self.scale_y, 0.0), float(self.rows)),
            min(max((x1 - self.left) / self.scale_x, 0.0), float(self.columns)),
            min(max((y1 - self.top) / self.scale_y, 0.0), float(self.rows)),
        )
