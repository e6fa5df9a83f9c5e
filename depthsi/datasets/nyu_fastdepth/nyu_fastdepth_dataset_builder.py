"""The TFDS builder `nyu_fastdepth`."""

from depthsi.data.prepared.tfds_builder import FramesBuilder
from depthsi.datasets.nyu_fastdepth.data_set import open_nyu_fastdepth


class Builder(FramesBuilder):
    """Takes the arguments of `open_nyu_fastdepth`."""

    list_frames = staticmethod(open_nyu_fastdepth)
