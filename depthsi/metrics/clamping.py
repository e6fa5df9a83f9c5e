"""Clamps predictions to the depths that a protocol allows."""

from typing import Any

from depthsi.metrics.protocols import Protocol
from depthsi.valid import valid_depth


def clamped(depth: Any, protocol: Protocol, numpy: Any) -> Any:
    """Clamps predictions, including invalid ones, to the limits of the protocol.

    As in the evaluation code of BTS, monodepth, monodepth2 and DenseDepth, 0, negative and infinite
    predictions are set to the limit on their side. NaN stays NaN unless the protocol says
    otherwise.

    Args:
      depth: metres, of any shape.
      protocol: protocol whose `clamp` and `invalid` apply.
      numpy: the module to compute with, `jax.numpy` or `numpy`.

    Example:
      >>> import numpy as np
      >>> from depthsi.metrics.clamping import clamped
      >>> from depthsi.metrics.protocols import protocol
      >>> depth = np.array([-np.inf, 0.0, 3.0, np.inf, np.nan])
      >>> clamped(depth, protocol("nyu_bts"), np).tolist()
      [0.001, 0.001, 3.0, 10.0, nan]
    """
    if protocol.invalid == "refuse":
        depth = numpy.where(valid_depth(depth), depth, numpy.nan)
    if protocol.clamp is None:
        return depth
    low, high = protocol.clamp
    if protocol.invalid == "clamp":
        depth = numpy.where(numpy.isnan(depth), low, depth)
    return numpy.clip(depth, low, high)


def clamped_first(depth: Any, protocol: Protocol, numpy: Any) -> Any:
    """The result of `clamped` if the protocol clamps before it resizes, else `depth` unchanged.

    Args:
      depth: metres, not yet resized.
      protocol: protocol whose limits apply.
      numpy: the module to compute with, `jax.numpy` or `numpy`.

    Example:
      >>> import numpy as np
      >>> from depthsi.metrics.clamping import clamped_first
      >>> from depthsi.metrics.protocols import protocol
      >>> depth = np.array([0.0, 3.0, 20.0])
      >>> [clamped_first(depth, protocol(n), np).tolist() for n in ("densedepth_nyu", "nyu_bts")]
      [[0.1, 3.0, 10.0], [0.0, 3.0, 20.0]]
    """
    return clamped(depth, protocol, numpy) if protocol.clamps_first else depth
