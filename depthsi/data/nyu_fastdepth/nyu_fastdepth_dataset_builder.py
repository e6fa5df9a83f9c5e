"""The TFDS builder `nyu_fastdepth`."""

from depthsi.data.frames_builder import FramesBuilder
from depthsi.data.nyu_fastdepth.listing import open_nyu_fastdepth


class Builder(FramesBuilder):
    """Takes the arguments of `open_nyu_fastdepth`."""

    list_frames = staticmethod(open_nyu_fastdepth)
