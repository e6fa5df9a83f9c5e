"""The TFDS builder `nyu_depth_v2_raw`."""

from depthsi.data.prepared.tfds_builder import FramesBuilder
from depthsi.datasets.nyu_depth_v2_raw.data_set import open_nyu_depth_v2_raw


class Builder(FramesBuilder):
    """Takes the arguments of `open_nyu_depth_v2_raw`."""

    list_frames = staticmethod(open_nyu_depth_v2_raw)
