"""Options of an evaluation. Nothing here imports an array library, since --help loads it."""

import dataclasses
from typing import Literal

from depthsi.errors import DepthsiError


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationRequest:
    """What to evaluate and how. The docstrings below the fields are the command line's help."""

    what: str
    """A network (the directory of a run, or a .safetensors file) or predictions (a folder with a
    depth file for each image, or one .npy, .npz or .mat file with all maps)."""
    data: str = ""
    """Data set: a folder of pairs, prepared data, or a run whose data to use. Predictions need it;
    a network is evaluated on its own data by default."""
    split: str = "test"
    """Split of the data to evaluate on."""
    protocol: str = ""
    """Protocol: eigen2014_nyu, nyu_bts, densedepth_nyu, eigen2014_kitti, garg_kitti,
    kitti_benchmark or monodepth2_median. Default: the paper's protocol for the data."""
    crop: str = ""
    """Crop to compare in: eigen2014_nyu, nyu_toolbox, garg, eigen_kitti, kb (KITTI benchmark) or
    none. Default: the protocol's."""
    alignment: Literal["", "none", "median", "log_mean", "scale_shift", "disparity"] = ""
    """How each predicted map is aligned with the ground truth. median, log_mean: by one factor.
    scale_shift: by factor and offset, for relative depth (Marigold). disparity: the same against
    1/truth, then inverted, for relative inverse depth (MiDaS, Depth Anything). Default: the
    protocol's."""
    resize: Literal["", "nearest", "bilinear", "bilinear_corners"] = ""
    """How smaller maps are resized to the ground truth. nearest: nearest pixel. bilinear: between
    pixel centres. bilinear_corners: with aligned corners (AdaBins, ZoeDepth). Default: the
    protocol's."""
    invalid: Literal["", "clamp", "refuse"] = ""
    """How to treat predictions that are 0, negative, infinite or NaN. clamp: clamp them all, NaN to
    the smallest depth. refuse: refuse them all. Default: clamp 0, negative and infinite values if
    the protocol's source does, and refuse NaN."""
    aggregation: Literal["", "image", "pixel"] = ""
    """image: mean of each image's metrics. pixel: one value over all pixels. Default: the
    protocol's."""
    checkpoint: str = "newest"
    """Checkpoint of a run: newest, best (on the split val) or a step."""
    out: str = ""
    """Directory for the results. Default: the run's directory, or evaluation/ for predictions."""
    json: str = ""
    """Additional file for the results as JSON; - prints them instead of the table."""
    units_per_metre: float = 0.0
    """For predictions: the value that stands for one metre, such as 1000 for millimetres; 0 means
    floats in metres. If depths look wrong by a common factor, predictions are refused with 0; with
    any other value, a note is printed with the table."""
    pattern: str = "{name}"
    """For predictions: how files are named, such as {name}_depth.npy."""
    variable: str = ""
    """For predictions: name of the array in files that contain several."""
    baselines: str = ""
    """For predictions: split whose mean depth is scored as a baseline, such as train."""
    mirrored: bool = False
    """For a network: also score flip test-time augmentation, the mean log depth of each image and
    of its mirror image."""
    edges: bool = False
    """Also score depth edges."""
    seed: int = 0
    """Seed of the bootstrap intervals."""

    def __post_init__(self) -> None:
        if self.seed < 0:
            raise DepthsiError(f"--seed is {self.seed}; it must be at least 0.")

    @property
    def units(self) -> float | None:
        """Value for one metre in predictions; None for metres."""
        return self.units_per_metre or None
