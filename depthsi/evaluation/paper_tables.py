"""The rows of Tables 1 and 2 of Eigen et al. 2014, as printed.

These are published results under the paper's own protocol. They are shown next to results computed
here, and never averaged or mixed with them. None means that the paper does not print the value.
"""

from collections.abc import Mapping
from typing import NamedTuple

from depthsi.metrics import PAPER_METRICS


def _row(*printed: float | None) -> dict[str, float | None]:
    return dict(zip(PAPER_METRICS, printed, strict=True))


TABLE_1_NYU: Mapping[str, Mapping[str, float | None]] = {
    "Mean": _row(0.418, 0.711, 0.874, 0.408, 0.581, 1.244, 0.430, 0.304),
    "Make3D": _row(0.447, 0.745, 0.897, 0.349, 0.492, 1.214, 0.409, 0.325),
    "Ladicky": _row(0.542, 0.829, 0.940, None, None, None, None, None),
    "Karsch": _row(None, None, None, 0.350, None, 1.2, None, None),
    "Coarse": _row(0.618, 0.891, 0.969, 0.228, 0.223, 0.871, 0.283, 0.221),
    "Coarse+Fine": _row(0.611, 0.887, 0.971, 0.215, 0.212, 0.907, 0.285, 0.219),
}

TABLE_2_KITTI: Mapping[str, Mapping[str, float | None]] = {
    "Mean": _row(0.556, 0.752, 0.870, 0.412, 5.712, 9.635, 0.444, 0.359),
    "Make3D": _row(0.601, 0.820, 0.926, 0.280, 3.012, 8.734, 0.361, 0.327),
    "Coarse": _row(0.679, 0.897, 0.967, 0.194, 1.531, 7.216, 0.273, 0.248),
    "Coarse+Fine": _row(0.692, 0.899, 0.967, 0.190, 1.515, 7.156, 0.270, 0.246),
}


class PaperTable(NamedTuple):
    """A table of the paper.

    Attributes:
      title: heading of the table.
      rows: method -> metric -> printed value.
    """

    title: str
    rows: Mapping[str, Mapping[str, float | None]]


_OTHERS = "from its own training and test images, not computed here"
PAPER_TABLES = {
    "nyu": PaperTable(f"Table 1 of the paper (NYU Depth v2), {_OTHERS}", TABLE_1_NYU),
    "kitti": PaperTable(f"Table 2 of the paper (KITTI), {_OTHERS}", TABLE_2_KITTI),
}
