"""Named evaluation protocols: what is compared with what, and how metrics are averaged.

Published metrics on the same data set differ in crop, depth caps, clamping, resizing, ground truth,
alignment and averaging. Each record below specifies all of these, their source, and what is
uncertain. Depths are in metres; caps are strict, min < truth < max.

Sources: Eigen, Puhrsch & Fergus 2014, https://arxiv.org/abs/1406.2283; Garg et al. 2016,
https://arxiv.org/abs/1603.04992; BTS, https://arxiv.org/abs/1907.10326; DenseDepth,
https://arxiv.org/abs/1812.11941; KITTI's benchmark, https://arxiv.org/abs/1708.06500; monodepth2,
https://arxiv.org/abs/1806.01260.
"""

from depthsi.errors import DepthsiError
from depthsi.metrics.protocol_record import (
    AFFINE,
    ALIGNMENTS,
    INVALID,
    RESIZES,
    TRUTHS,
    Protocol,
    unknown_name,
)

__all__ = [
    "AFFINE",
    "ALIGNMENTS",
    "DEFAULT_PROTOCOLS",
    "INVALID",
    "PROTOCOLS",
    "RESIZES",
    "TRUTHS",
    "Protocol",
    "protocol",
]


def protocol(name: str) -> Protocol:
    """The protocol called `name`.

    Args:
      name: a key of `PROTOCOLS`.

    Raises:
      DepthsiError: there is no such protocol; the message suggests the nearest name.

    Example:
      >>> from depthsi.metrics.protocols import protocol
      >>> protocol("garg_kitti").max_depth
      80.0
    """
    if name not in PROTOCOLS:
        raise DepthsiError(unknown_name("protocol", name, tuple(PROTOCOLS)))
    return PROTOCOLS[name]


_NYU = (480, 640)
PROTOCOLS = {
    record.name: record
    for record in (
        Protocol(
            "eigen2014_nyu",
            "nyu",
            crop="eigen2014_nyu",
            pictures=_NYU,
            source="Eigen, Puhrsch & Fergus 2014, section 4 and Table 1: the part of the image "
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
            unsure="That code also sets NaN to the least depth, here only with --invalid clamp. "
            "Its network predicts every pixel; AdaBins and ZoeDepth resize smaller maps with "
            "aligned corners (--resize bilinear_corners), here pixels keep their centres.",
        ),
        Protocol(
            "densedepth_nyu",
            "nyu",
            crop="eigen2014_nyu",
            clamp=(0.1, 10.0),
            clamp_first=True,
            resize="bilinear",
            aggregation="pixel",
            pictures=_NYU,
            source="DenseDepth (Alhashim & Wonka 2018), utils.py: rows 20 to 459 and columns 24 to "
            "615, both included, of dense truth; pooled over all pixels of the set",
            unsure="That code divides its abs rel by the prediction instead of the truth and "
            "averages the predictions of the image and its mirror image; neither is done here.",
        ),
        Protocol(
            "eigen2014_kitti",
            "kitti",
            crop="eigen_kitti",
            min_depth=1e-3,
            max_depth=80.0,
            clamp=(1e-3, 80.0),
            truth="lidar_x",
            source="Eigen, Puhrsch & Fergus 2014, Table 2, on its 697 images; crop, caps and "
            "truth as monodepth's evaluate_kitti.py found them by trial and error",
            unsure="The paper states neither its crop nor caps; its truth is the forward distance "
            "from the scanner instead of camera z, an error that was kept since.",
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
            unsure="Many later tables use the official annotated maps of 652 of the 697 images, "
            "and a cap of 50 m; their numbers are not comparable. monodepth interpolates "
            "disparity, and AdaBins and ZoeDepth align corners (--resize bilinear_corners); here "
            "the map is interpolated as depth and pixels keep their centres.",
        ),
        Protocol(
            "kitti_benchmark",
            "kitti",
            crop="kb",
            resize="bilinear",
            truth="annotated",
            source="KITTI depth prediction benchmark: images of 352x1216; silog, sq_rel_squared, "
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
            unsure="That code interpolates disparity; here the map is interpolated as depth, and "
            "predictions that are not finite and positive have no part in the median.",
        ),
    )
}
DEFAULT_PROTOCOLS = {
    "nyu": PROTOCOLS["eigen2014_nyu"],
    "kitti": PROTOCOLS["eigen2014_kitti"],
}
