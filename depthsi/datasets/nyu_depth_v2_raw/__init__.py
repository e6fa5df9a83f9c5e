"""NYU Depth v2, the raw dump: Kinect images and disparities with time stamps in their names."""

from depthsi.datasets.nyu_depth_v2_raw.data_set import open_nyu_depth_v2_raw

__all__ = ["open_nyu_depth_v2_raw"]
