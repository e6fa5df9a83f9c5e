"""What an evaluation is asked for. Nothing here imports an array library: it is in the --help."""

import dataclasses
from typing import Literal

from depthsi.errors import DepthsiError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What to evaluate, and how. The comments below the fields are the help of the command line."""

    what: str
    """Directory of a run, or a file of weights (.safetensors); or predictions: a folder with a
    depth file for each image, or one .npy, .npz or .mat file with all maps."""
    data: str = ""
    """What predictions are of, or what else to evaluate a network on: a folder of pairs, prepared
    data, or a run whose data it is."""
    split: str = "test"
    """Split of the data."""
    protocol: str = ""
    """eigen2014_nyu, nyu_bts, densedepth_nyu, eigen2014_kitti, garg_kitti, kitti_benchmark or
    monodepth2_median; none for the paper's."""
    crop: str = ""
    """Pixels that count, in place of the protocol's."""
    alignment: Literal["", "none", "median", "log_mean", "scale_shift", "disparity"] = ""
    """How each predicted map is aligned first, in place of the protocol's: median, log_mean: one
    factor; scale_shift: factor and offset, for relative depth (Marigold); disparity: the same
    against 1/truth, then inverted, for relative inverse depth (MiDaS, Depth Anything)."""
    resize: Literal["", "nearest", "bilinear", "bilinear_corners"] = ""
    """How smaller maps are resized to the truth, in place of the protocol's: nearest pixel,
    bilinear between pixel centres, or bilinear with aligned corners (AdaBins, ZoeDepth)."""
    invalid: Literal["", "clamp", "refuse"] = ""
    """How to treat predictions that are 0, negative, infinite or NaN. Default: clamp the first
    three if the protocol's source does, and refuse NaN. clamp: clamp NaN to the smallest depth as
    well. refuse: refuse them all."""
    aggregation: Literal["", "image", "pixel"] = ""
    """image: mean of the images' metrics; pixel: one value over all pixels; in place of the
    protocol's."""
    checkpoint: str = "newest"
    """For a run: newest, best (on the split val) or a step."""
    out: str = ""
    """Directory for the results; none for the run's, or evaluation/ for predictions."""
    json: str = ""
    """File for the results as JSON, besides evaluation.json; - prints them in place of the
    table."""
    units_per_metre: float = 0.0
    """For predictions: the value for one metre, such as 1000 for millimetres; 0 for floats in
    metres. A value given here is believed: if depths look wrong by a usual factor, 0 refuses them
    and any other value only says so with the table."""
    pattern: str = "{name}"
    """For predictions: how the files are named, such as {name}_depth.npy."""
    variable: str = ""
    """For predictions: the array in files that hold several."""
    baselines: str = ""
    """For predictions: split of the data whose mean depth is scored as well, such as train."""
    mirrored: bool = False
    """For a run: also score the mean log depth of each image and its mirror image."""
    edges: bool = False
    """Also score the edges of depth."""
    seed: int = 0
    """Seed of the bootstrap intervals."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DepthsiError(f"seed is {self.seed}; it must be at least 0.")

    @property
    def units(self) -> float | None:
        """Value for one metre in predictions; None for metres."""
        return self.units_per_metre or None
