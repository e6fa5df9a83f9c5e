"""NYU Depth v2, the labelled pairs: `nyu_depth_v2_labeled.mat` as the authors publish it."""

from depthsi.datasets.nyu_depth_v2_labeled.data_set import open_nyu_depth_v2_labeled

__all__ = ["open_nyu_depth_v2_labeled"]
