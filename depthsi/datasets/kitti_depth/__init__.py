"""KITTI's street scenes with depth: raw drives and laser scans, or the official annotated maps."""

from depthsi.datasets.kitti_depth.data_set import open_kitti_depth as open_kitti_depth
