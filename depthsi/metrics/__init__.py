"""Depth metrics per image, mergeable sums of them, and metrics of depth edges.

`depth_metrics` computes the metrics of each image, `DepthMetrics` has sums that merge over batches,
devices and processes, `ImageScores` stores every image's metrics on the host, and
`boundary_metrics` scores depth discontinuities. For definitions see `depthsi.metrics.terms` and
`depthsi.metrics.boundaries`. The names below are loaded on first use.
"""

from typing import TYPE_CHECKING

from depthsi.lazy_names import lazy_names

if TYPE_CHECKING:
    from depthsi.metrics.bootstrap import bootstrap_intervals
    from depthsi.metrics.boundaries import BOUNDARY_METRICS, boundary_metrics, depth_edges
    from depthsi.metrics.images import ImageScores
    from depthsi.metrics.protocols import PROTOCOLS, Protocol, protocol
    from depthsi.metrics.terms import (
        METRICS,
        PAPER_METRICS,
        ImageTerms,
        depth_metrics,
        image_terms,
        valid_pixels,
    )
    from depthsi.metrics.totals import AGGREGATIONS, DepthMetrics

_MODULES = {
    "AGGREGATIONS": "totals",
    "BOUNDARY_METRICS": "boundaries",
    "METRICS": "terms",
    "PAPER_METRICS": "terms",
    "PROTOCOLS": "protocols",
    "DepthMetrics": "totals",
    "ImageScores": "images",
    "ImageTerms": "terms",
    "Protocol": "protocols",
    "bootstrap_intervals": "bootstrap",
    "boundary_metrics": "boundaries",
    "depth_edges": "boundaries",
    "depth_metrics": "terms",
    "image_terms": "terms",
    "protocol": "protocols",
    "valid_pixels": "terms",
}
__all__ = [
    "AGGREGATIONS",
    "BOUNDARY_METRICS",
    "METRICS",
    "PAPER_METRICS",
    "PROTOCOLS",
    "DepthMetrics",
    "ImageScores",
    "ImageTerms",
    "Protocol",
    "bootstrap_intervals",
    "boundary_metrics",
    "depth_edges",
    "depth_metrics",
    "image_terms",
    "protocol",
    "valid_pixels",
]

__getattr__, __dir__ = lazy_names(__name__, _MODULES, __all__)
