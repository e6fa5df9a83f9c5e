"""The TFDS builder `nyu_depth_v2_labeled`."""

from depthsi.data.prepared.tfds_builder import FramesBuilder
from depthsi.datasets.nyu_depth_v2_labeled.data_set import open_nyu_depth_v2_labeled


class Builder(FramesBuilder):
    """Takes the arguments of `open_nyu_depth_v2_labeled`."""

    list_frames = staticmethod(open_nyu_depth_v2_labeled)
