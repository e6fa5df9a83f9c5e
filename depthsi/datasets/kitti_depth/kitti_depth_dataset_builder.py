"""The TFDS builder of KITTI's drives."""

from depthsi.data.prepared.tfds_builder import FramesBuilder
from depthsi.datasets.kitti_depth.data_set import open_kitti_depth


class Builder(FramesBuilder):
    """Prepares what `open_kitti_depth` lists."""

    list_frames = staticmethod(open_kitti_depth)
