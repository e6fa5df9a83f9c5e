"""What is compiled with options of its own gets the code that those options stand for."""

import jax
import jax.numpy as jnp
import pytest
from jax.experimental.serialize_executable import serialize

from depthsi.compilation import quick_jit, thorough_jit

OPTION = "jax_disable_most_optimizations"


def size(jit):
    """Bytes of the compiled program of a new function, with the options it was compiled with."""
    lowered = jit(lambda x: (jnp.sin(x) @ jnp.cos(x)) + jnp.tanh(x).sum()).lower(jnp.ones((8, 8)))
    return len(serialize(lowered.compile())[0])


def test_thorough_and_quick_code_do_not_depend_on_what_jax_is_told():
    before = jax.config.read(OPTION)
    try:
        jax.config.update(OPTION, False)
        optimised, quick = size(jax.jit), size(quick_jit)
        jax.config.update(OPTION, True)
        unoptimised, thorough = size(jax.jit), size(thorough_jit)
    finally:
        jax.config.update(OPTION, before)
    assert thorough == pytest.approx(optimised, rel=0.02)
    assert quick == pytest.approx(unoptimised, rel=0.02)
    assert optimised > 1.1 * unoptimised
