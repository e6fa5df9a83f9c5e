"""The rule for valid depth, common to images, predictions, losses and metrics.

Depth is in metres, in NumPy and JAX arrays alike; nothing here imports either.
"""

import math
from typing import Any, Protocol, TypeVar, runtime_checkable


@runtime_checkable
class _Comparable(Protocol):
    def __gt__(self, other: Any, /) -> Any: ...
    def __lt__(self, other: Any, /) -> Any: ...


AnyArray = TypeVar("AnyArray", bound=_Comparable)


def valid_depth(depth: AnyArray) -> AnyArray:
    """Where `depth` was measured: finite and greater than 0.

    Args:
      depth: NumPy or JAX array of any shape and real type, in metres.

    Returns:
      bool array of the same kind and shape, False for 0, negative, NaN and infinity.

    Example:
      >>> import numpy as np
      >>> from depthsi.valid import valid_depth
      >>> valid_depth(np.array([1.5, 0.0, -1.0, np.nan, np.inf])).tolist()
      [True, False, False, False, False]
    """
    # every comparison with NaN is False
    return (depth > 0) & (depth < math.inf)
