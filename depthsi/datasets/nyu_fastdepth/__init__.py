"""NYU Depth v2 as FastDepth's authors preprocessed it: one HDF5 file per frame."""

from depthsi.datasets.nyu_fastdepth.data_set import open_nyu_fastdepth

__all__ = ["open_nyu_fastdepth"]
