"""The record of a protocol: all rules for comparing depth maps.

Depths are in metres; caps are strict, min < truth < max. `depthsi.metrics.protocols` has the named
protocols.
"""

import dataclasses
import difflib
import math
from typing import Literal

from depthsi.errors import DepthsiError
from depthsi.geometry import CROPS, Size
from depthsi.metrics import AGGREGATIONS
from depthsi.valid import AnyArray

RESIZES: dict[str, str] = {
    "nearest": "nearest",
    "bilinear": "bilinear",
    "bilinear_corners": "bilinear with aligned corners",
}
TRUTHS: dict[str, str] = {
    "filled": "depth camera with its holes filled in",
    "raw": "depth camera as measured",
    "lidar_x": "laser scans projected, forward distance from the scanner",
    "annotated": "the official semi-dense maps, camera z",
}
ALIGNMENTS: dict[str, str] = {
    "none": "not aligned",
    "median": "each image scaled to the true median",
    "log_mean": "each image scaled to the true mean log depth",
    "scale_shift": "each image scaled and shifted to the truth by least squares",
    "disparity": "each image scaled and shifted to 1/truth by least squares, then inverted",
}
AFFINE = ("scale_shift", "disparity")  # of these, any finite prediction is one, 0 and less too
INVALID: dict[str, str] = {
    "source": "",
    "clamp": ", NaN to the least",
    "refuse": ", but 0, negative and infinite ones refused",
}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """The rules for comparing depth maps.

    Attributes:
      name: name of the protocol; with changes, that of the original protocol and the changes.
      data_set: "nyu" or "kitti"; the paper's table for it is printed with the results.
      crop: one of `depthsi.geometry.CROPS`.
      min_depth, max_depth: true depths count if they lie strictly between these.
      clamp: range to which predictions are clamped after alignment; None for no limits.
      clamp_first: clamp before resizing instead, unless predictions are aligned.
      invalid: one of `INVALID`: how to treat predictions that are not finite and positive. As in
        the sources, clamping also limits 0, negative and infinite predictions while NaN is refused;
        or NaN becomes the smallest depth, or all of them are refused. Without a clamp, all are
        refused.
      resize: how a smaller map is resized to the ground truth: "nearest" repeats each cell as a
        block of pixels, "bilinear" interpolates between the cells' centres (in metres), and
        "bilinear_corners" aligns the centres of the corner pixels of both maps.
      truth: one of `TRUTHS`: the ground truth that the protocol was defined with.
      alignment: one of `ALIGNMENTS`: how each predicted map is aligned before the comparison.
      aggregation: "image" or "pixel": the mean in the printed table.
      pictures: image size for which the protocol was defined, (H, W); None for the data's own.
      source: the paper or code that defines the protocol.
      unsure: what the source leaves open, or where it differs.

    Raises:
      DepthsiError: a value is unknown, or the depths leave nothing to compare.

    Example:
      >>> from depthsi.metrics.protocols import Protocol
      >>> Protocol("mine", "nyu", crop="none", max_depth=10.0).rules()
      'true depth in (0, 10) m; predictions resized nearest, not aligned; mean over images'
    """

    name: str
    data_set: Literal["nyu", "kitti"]
    crop: str
    min_depth: float = 0.0
    max_depth: float = math.inf
    clamp: tuple[float, float] | None = None
    clamp_first: bool = False
    invalid: str = "source"
    resize: str = "nearest"
    truth: str = "filled"
    alignment: str = "none"
    aggregation: str = "image"
    pictures: Size | None = None
    source: str = ""
    unsure: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.min_depth < self.max_depth:
            raise DepthsiError(
                f"The depth caps {self.min_depth} and {self.max_depth} m leave no depth between"
                " them: give the smaller one first."
            )
        if self.clamp is not None and not 0 < self.clamp[0] < self.clamp[1] < math.inf:
            raise DepthsiError(
                f"Predictions cannot be clamped to {self.clamp[0]}..{self.clamp[1]} m: give two"
                " depths over 0, the smaller one first."
            )
        choices = {"crop": CROPS, "resize": RESIZES, "truth": TRUTHS, "alignment": ALIGNMENTS}
        for name, allowed in (choices | {"aggregation": AGGREGATIONS, "invalid": INVALID}).items():
            value = getattr(self, name)
            if value not in allowed:
                raise DepthsiError(unknown_name(name, value, tuple(allowed)))
        if self.clamp is None and self.invalid == "clamp":
            raise DepthsiError(
                f"The protocol {self.name!r} has no limits that invalid predictions could be"
                " clamped to: leave out --invalid clamp, or choose a --protocol that clamps, such"
                " as nyu_bts or garg_kitti."
            )

    def counts(self, depth: AnyArray) -> AnyArray:
        """Where a true depth is compared: measured, and strictly between the caps.

        Args:
          depth: NumPy or JAX array of metres, of any shape.

        Returns:
          bool array of the same kind and shape.

        Example:
          >>> import numpy as np
          >>> from depthsi.metrics.protocols import protocol
          >>> protocol("nyu_bts").counts(np.array([0.0, 3.0, 10.0, np.nan])).tolist()
          [False, True, False, False]
        """
        # 0 <= min_depth and max_depth <= inf: 0, negative, NaN and inf are not between them
        return (depth > self.min_depth) & (depth < self.max_depth)

    @property
    def affine(self) -> bool:
        """Whether predictions get their scale and offset from the truth."""
        return self.alignment in AFFINE

    @property
    def clamps_first(self) -> bool:
        """Whether predictions are clamped before the resizing; not in units still to be aligned."""
        return self.clamp_first and self.clamp is not None and self.alignment == "none"

    def with_changes(self, **changes: str | None) -> "Protocol":
        """A copy with the changes that are not None; its name lists them.

        Args:
          changes: new values of fields, by name; None leaves a field unchanged.

        Raises:
          DepthsiError: a value is unknown, or the depths leave nothing to compare.

        Example:
          >>> from depthsi.metrics.protocols import protocol
          >>> protocol("nyu_bts").with_changes(crop="none", alignment=None).name
          'nyu_bts with crop none'
        """
        real = {k: v for k, v in changes.items() if v is not None and v != getattr(self, k)}
        told = ", ".join(f"{name} {value}" for name, value in real.items())
        name = f"{self.name} with {told}" if real else self.name
        return dataclasses.replace(self, **{"name": name, **real})

    def rules(self) -> str:
        """A description of all rules except the crop.

        Example:
          >>> from depthsi.metrics.protocols import protocol
          >>> protocol("eigen2014_nyu").rules()
          'no depth caps; predictions resized nearest, not aligned; mean over images'
        """
        capped = self.min_depth > 0 or self.max_depth < math.inf
        caps = f"true depth in ({self.min_depth:g}, {self.max_depth:g}) m"
        clamp = ""
        if self.clamp:
            clamp = f"clamped to {self.clamp[0]:g}..{self.clamp[1]:g} m{INVALID[self.invalid]}"
        first, last = (f"{clamp}, ", "") if self.clamps_first else ("", clamp and f", {clamp}")
        how = "mean over images" if self.aggregation == "image" else "pooled over pixels"
        return (
            f"{caps if capped else 'no depth caps'}; predictions {first}resized"
            f" {RESIZES[self.resize]}, {ALIGNMENTS[self.alignment]}{last}; {how}"
        )


def unknown_name(kind: str, name: str, choices: tuple[str, ...]) -> str:
    """The message for a `name` that is not among the `choices`; suggests the nearest one."""
    near = difflib.get_close_matches(name, choices, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return f"No {kind} is called {name!r}.{meant} Choose one of {', '.join(choices)}."
