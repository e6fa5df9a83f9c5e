"""The settings of procedural rooms as training data.

The docstrings below the fields are the help of the command line. Nothing here imports an array
library before the rooms are opened.
"""

import dataclasses
from typing import TYPE_CHECKING, ClassVar, Literal

from depthsi.errors import DepthsiError, require_at_least

if TYPE_CHECKING:
    from depthsi.data.samples import Source


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rooms:
    """Procedural rooms, with exact depth at every pixel and nothing to download."""

    kind: Literal["rooms"] = "rooms"
    """Kind of data: rooms, folder, prepared or custom; each kind has its own settings."""
    seed: int = 0
    """Seed of the rooms."""
    train: int = 2000
    """Number of rooms to train on."""
    val: int = 64
    """Number of rooms for validation during training."""
    test: int = 256
    """Number of rooms for evaluation; none of them is used for training."""
    scale_range: tuple[float, float] = (1.0, 1.0)
    """Range of the log-uniform factor by which each whole room is enlarged."""
    resident: bool = False
    """Keep the training pairs in device memory, with depth in 16 bits, and sample them there."""
    endless: bool = False
    """Render a new room on the devices for every sample, instead of training on `train` rooms."""

    even_scenes: ClassVar[int] = 0
    workers: ClassVar[int] = 0

    def __post_init__(self) -> None:
        require_at_least("data", self, train=1, val=1, test=1)
        if self.endless and self.resident:
            raise DepthsiError(
                "data.endless keeps no samples, so data.resident does not apply: set only one of"
                " them."
            )

    def open(self, split: str, size: tuple[int, int] | None = None) -> "Source":
        """The rooms of `split`, rendered when they are asked for.

        Args:
          split: "train", "val" or "test".
          size: (H, W) in pixels; rooms are always 240x320.

        Raises:
          DepthsiError: an unknown split, or another size.
        """
        from depthsi.rooms.source import SIZE, RoomsSource

        if size not in (None, SIZE):
            raise DepthsiError(
                f"Rooms are rendered at {SIZE} pixels (H, W), not {size}: choose a geometry of that"
                " size, or --data.kind folder."
            )
        counts = {"train": self.train, "val": self.val, "test": self.test}
        return RoomsSource(split, counts.get(split, 0), self.seed, self.scale_range)
