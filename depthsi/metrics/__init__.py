"""What a prediction is scored with: numbers per image, their sums, and how well edges are met.

`depth_metrics` gives the numbers of each image, `DepthMetrics` sums that merge over batches,
devices and processes, `ImageScores` keeps every image's numbers on the host, and
`boundary_metrics` looks at depth discontinuities. Definitions: `depthsi.metrics.terms` and
`depthsi.metrics.boundaries`.
"""

from depthsi.metrics.boundaries import BOUNDARY_METRICS, boundary_metrics, depth_edges
from depthsi.metrics.images import ImageScores
from depthsi.metrics.terms import (
    METRICS,
    PAPER_METRICS,
    ImageTerms,
    depth_metrics,
    image_terms,
    valid_pixels,
)
from depthsi.metrics.totals import AGGREGATIONS, DepthMetrics

__all__ = [
    "AGGREGATIONS",
    "BOUNDARY_METRICS",
    "METRICS",
    "PAPER_METRICS",
    "DepthMetrics",
    "ImageScores",
    "ImageTerms",
    "boundary_metrics",
    "depth_edges",
    "depth_metrics",
    "image_terms",
    "valid_pixels",
]
