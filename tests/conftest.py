"""Strict settings for every test: four virtual CPU devices and no silent broadcasting of ranks."""

import jax

jax.config.update("jax_num_cpu_devices", 4)
jax.config.update("jax_numpy_rank_promotion", "raise")
