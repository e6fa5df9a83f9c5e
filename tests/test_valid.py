"""The rule of valid depth: one function for NumPy, JAX, eager and jitted, and what it imports."""

import math
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from depthsi.valid import valid_depth

DEPTHS = [1.5, 1e-3, 0.0, -0.0, -1e-3, -2.0, math.nan, -math.nan, math.inf, -math.inf, 6e4]


def expected(values):
    return [math.isfinite(value) and value > 0 for value in values]


def some_depths(dtype):
    """`DEPTHS` and the least and greatest positive numbers of the type."""
    ends = jnp.finfo(dtype).tiny, jnp.finfo(dtype).max
    return np.array([*DEPTHS, *ends], jnp.dtype(dtype))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numpy(dtype):
    values = some_depths(dtype)
    got = valid_depth(values)
    assert isinstance(got, np.ndarray)
    assert got.dtype == bool
    assert got.tolist() == expected(float(value) for value in values)
    np.testing.assert_array_equal(valid_depth(values[None, :, None]), got[None, :, None])


@pytest.mark.slow
@pytest.mark.parametrize("run", [lambda f: f, jax.jit], ids=["eager", "jit"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_jax(dtype, run):
    values = some_depths(dtype)
    got = run(valid_depth)(jnp.asarray(values))
    assert isinstance(got, jax.Array)
    assert got.dtype == bool
    assert got.tolist() == expected(float(value) for value in values)


def test_whole_numbers():
    """Millimetres as stored: 0 is missing, and there is neither NaN nor infinity."""
    for values in (np.array([[0, 1, 65535]], np.uint16), jnp.array([[0, 1, 65535]], jnp.uint16)):
        np.testing.assert_array_equal(valid_depth(values), [[False, True, True]])


def test_the_module_loads_neither_jax_nor_numpy():
    """Readers of files use it in processes that must start quickly."""
    code = "import sys, depthsi.valid; print({'jax', 'numpy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
