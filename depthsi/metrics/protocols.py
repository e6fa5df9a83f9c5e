"""Named evaluation protocols: what is compared with what, and how the numbers are averaged.

Published numbers of one data set differ in crop, depth caps, clamping, resizing, ground truth,
alignment and averaging. Each record below says all of them, where they come from, and what is not
certain. Depths in metres; caps are strict, min < truth < max.

Sources: Eigen, Puhrsch & Fergus 2014, https://arxiv.org/abs/1406.2283; Garg et al. 2016,
https://arxiv.org/abs/1603.04992; BTS, https://arxiv.org/abs/1907.10326; DenseDepth,
https://arxiv.org/abs/1812.11941; KITTI's benchmark, https://arxiv.org/abs/1708.06500; monodepth2,
https://arxiv.org/abs/1806.01260.
"""

import dataclasses
import difflib
import math
from typing import Literal

from depthsi.errors import DepthsiError
from depthsi.geometry import CROPS, Size
from depthsi.metrics import AGGREGATIONS

RESIZES = ("nearest", "bilinear")
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
}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """One way to compare depth maps.

    Attributes:
      name: of the record; with changes, what it was derived from.
      data_set: "nyu" or "kitti", whose table of the paper is shown beside.
      crop: of `depthsi.geometry.CROPS`.
      min_depth, max_depth: true depths that count lie strictly between them.
      clamp: range that predictions are limited to, after the alignment; None for no limits.
      resize: how a smaller map becomes as large as the truth: "nearest", every cell as a block of
        pixels, or "bilinear", interpolated between the cells' centres (in metres).
      truth: of `TRUTHS`, what the protocol was defined with.
      alignment: of `ALIGNMENTS`, what is done to each predicted map before the comparison.
      aggregation: "image" or "pixel", the mean of the printed table.
      pictures: size at which the protocol was defined, (H, W); None for the data's own.
      source: the paper or code that defines it.
      unsure: what the source leaves open, or where it does something else.

    Raises:
      DepthsiError: a value that is not among the known ones, or depths that leave nothing.

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
        for name, allowed in (choices | {"aggregation": AGGREGATIONS}).items():
            value = getattr(self, name)
            if value not in allowed:
                raise DepthsiError(_unknown(name, value, tuple(allowed)))

    def with_changes(self, **changes: str | None) -> "Protocol":
        """Another record with the changes that are not None, which its name tells.

        Args:
          changes: new values of fields, by name; None leaves a field as it is.

        Raises:
          DepthsiError: a value that is not among the known ones, or depths that leave nothing.

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
        """Everything but the crop, in words.

        Example:
          >>> from depthsi.metrics.protocols import protocol
          >>> protocol("eigen2014_nyu").rules()
          'no depth caps; predictions resized nearest, not aligned; mean over images'
        """
        capped = self.min_depth > 0 or self.max_depth < math.inf
        caps = f"true depth in ({self.min_depth:g}, {self.max_depth:g}) m"
        clamp = f", clamped to {self.clamp[0]:g}..{self.clamp[1]:g} m" if self.clamp else ""
        how = "mean over images" if self.aggregation == "image" else "pooled over pixels"
        return (
            f"{caps if capped else 'no depth caps'}; predictions resized {self.resize},"
            f" {ALIGNMENTS[self.alignment]}{clamp}; {how}"
        )


def protocol(name: str) -> Protocol:
    """The record called `name`.

    Args:
      name: a key of `PROTOCOLS`.

    Raises:
      DepthsiError: there is none; suggests the nearest.

    Example:
      >>> from depthsi.metrics.protocols import protocol
      >>> protocol("garg_kitti").max_depth
      80.0
    """
    if name not in PROTOCOLS:
        raise DepthsiError(_unknown("protocol", name, tuple(PROTOCOLS)))
    return PROTOCOLS[name]


def _unknown(kind: str, name: str, choices: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, choices, n=1)
    meant = f" Did you mean {near[0]!r}?" if near else ""
    return f"No {kind} is called {name!r}.{meant} Choose one of {', '.join(choices)}."


_NYU = (480, 640)
PROTOCOLS = {
    record.name: record
    for record in (
        Protocol(
            "eigen2014_nyu",
            "nyu",
            crop="eigen2014_nyu",
            pictures=_NYU,
            source="Eigen, Puhrsch & Fergus 2014, section 4 and Table 1: the part of the picture "
            "its network predicts, upsampled to the original resolution by nearest neighbour",
            unsure="The paper compares on the part that all methods of its table predict and does "
            "not say whether numbers are averaged over images or over pixels.",
        ),
        Protocol(
            "nyu_bts",
            "nyu",
            crop="nyu_toolbox",
            min_depth=1e-3,
            max_depth=10.0,
            clamp=(1e-3, 10.0),
            resize="bilinear",
            truth="raw",
            pictures=_NYU,
            source="BTS (Lee et al. 2019), pytorch/bts_eval.py with --eigen_crop, as AdaBins, "
            "NeWCRFs and others: rows 45..471 and columns 41..601, although this is the toolbox's "
            "valid projection and not the crop of Eigen et al.",
            unsure="That code also sets NaN to the least depth; here such a prediction is refused.",
        ),
        Protocol(
            "densedepth_nyu",
            "nyu",
            crop="eigen2014_nyu",
            clamp=(0.1, 10.0),
            resize="bilinear",
            aggregation="pixel",
            pictures=_NYU,
            source="DenseDepth (Alhashim & Wonka 2018), utils.py: rows 20 to 459 and columns 24 to "
            "615, both included, of dense truth; pooled over all pixels of the set",
            unsure="That code divides its abs rel by the prediction instead of the truth and "
            "averages the predictions of the picture and its mirror image; neither is done here.",
        ),
        Protocol(
            "eigen2014_kitti",
            "kitti",
            crop="eigen_kitti",
            min_depth=1e-3,
            max_depth=80.0,
            clamp=(1e-3, 80.0),
            truth="lidar_x",
            source="Eigen, Puhrsch & Fergus 2014, Table 2, on its 697 pictures; crop, caps and "
            "truth as monodepth's evaluate_kitti.py found them by trial and error",
            unsure="The paper states neither its crop nor caps; its truth is the forward distance "
            "from the scanner in place of camera z, an error that was kept since.",
        ),
        Protocol(
            "garg_kitti",
            "kitti",
            crop="garg",
            min_depth=1e-3,
            max_depth=80.0,
            clamp=(1e-3, 80.0),
            resize="bilinear",
            truth="lidar_x",
            source="Garg et al. 2016 as in monodepth's evaluate_kitti.py and BTS with --garg_crop",
            unsure="Many later tables use the official annotated maps of 652 of the 697 pictures, "
            "and a cap of 50 m; their numbers are not comparable.",
        ),
        Protocol(
            "kitti_benchmark",
            "kitti",
            crop="kb",
            resize="bilinear",
            truth="annotated",
            source="KITTI depth prediction benchmark: pictures of 352x1216; silog, sq_rel_squared, "
            "abs_rel and irmse are its columns, shares shown there in percent",
            unsure="Its development kit fills holes of a prediction; here they are refused.",
        ),
        Protocol(
            "monodepth2_median",
            "kitti",
            crop="garg",
            min_depth=1e-3,
            max_depth=80.0,
            clamp=(1e-3, 80.0),
            resize="bilinear",
            truth="lidar_x",
            alignment="median",
            source="monodepth2 (Godard et al. 2019), evaluate_depth.py --eval_mono: the median of "
            "the compared pixels, before the clamp",
            unsure="That code interpolates disparity; here the map is interpolated as depth.",
        ),
    )
}
DEFAULT_PROTOCOLS = {
    "nyu": PROTOCOLS["eigen2014_nyu"],
    "kitti": PROTOCOLS["eigen2014_kitti"],
}
