"""How much arithmetic a function is, counted in its traced program; nothing is computed."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.extend import core


def count_flops(function: Callable[..., Any], *arguments: Any) -> int:
    """FLOPs of the convolutions and matrix products in one call of `function`.

    A multiply-add is 2 FLOPs. Each output of a convolution counts with its whole window, padding
    included; the zeros that the gradient of a strided convolution puts between its inputs do not
    count. Element-wise work, sums and pools are left out. Loops count as often as they run, those
    of unknown length once; of several branches the most expensive counts.

    Args:
      function: what `jax.make_jaxpr` can trace.
      *arguments: its arguments, or `jax.ShapeDtypeStruct`s like them.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def as_flops(count: int | float) -> str:
    """With a unit: "3.10 GFLOP"."""
    return f"{count / 1e9:.2f} GFLOP" if count >= 1e8 else f"{count / 1e6:.1f} MFLOP"


def _count(jaxpr: core.Jaxpr) -> int:
    return sum(_equation(equation) for equation in jaxpr.eqns)


def _equation(equation: core.JaxprEqn) -> int:
    name, values = equation.primitive.name, equation.params
    if name == "dot_general":
        return _product(equation)
    if name == "conv_general_dilated":
        return _convolution(equation)
    inner = [_count(jaxpr) for value in values.values() for jaxpr in _programs(value)]
    if name == "cond":
        return max(inner)
    times = values["length"] if name == "scan" else 1
    if name == "shard_map":  # its program is that of one device
        times = values["mesh"].size
    return times * sum(inner)


def _programs(value: Any) -> Iterator[core.Jaxpr]:
    """Programs among the parameters of an equation."""
    if isinstance(value, core.ClosedJaxpr):
        yield value.jaxpr
    elif isinstance(value, core.Jaxpr):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _programs(each)


def _product(equation: core.JaxprEqn) -> int:
    ((contracted, _), _) = equation.params["dimension_numbers"]
    left, outputs = _shape(equation.invars[0]), _shape(equation.outvars[0])
    return 2 * math.prod(outputs) * math.prod(left[i] for i in contracted)


def _convolution(equation: core.JaxprEqn) -> int:
    """Of each output: 2 x window x input channels of its group, where the input has no zeros."""
    dimensions, kernel = equation.params["dimension_numbers"], _shape(equation.invars[1])
    window = math.prod(kernel[i] for i in dimensions.rhs_spec[1:])  # input channels and space
    outputs = math.prod(_shape(equation.outvars[0]))
    return 2 * outputs * window // math.prod(equation.params["lhs_dilation"])


def _shape(variable: Any) -> tuple[int, ...]:
    return variable.aval.shape
