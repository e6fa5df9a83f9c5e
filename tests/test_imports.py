"""Every module of the package can be imported, and importing does no work."""

import os
import pkgutil
import subprocess
import sys

import pytest

import depthsi

CODE = """
import importlib, sys
for name in sys.argv[1:]:
    importlib.import_module(name)
import jax._src.xla_bridge as bridge
assert not bridge._backends, "importing initialised a backend"
assert "matplotlib.pyplot" not in sys.modules, "importing loaded pyplot"
"""


def test_importing_every_module_initialises_no_backend():
    names = [module.name for module in pkgutil.walk_packages(depthsi.__path__, "depthsi.")]
    assert len(names) > 150
    names.remove("depthsi.__main__")  # which runs the command line
    done = subprocess.run(
        [sys.executable, "-c", CODE, *names],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr


# Besides jax, flax, optax, numpy, jaxtyping and what these need themselves.
OTHERS = """
cv2 etils filelock flatbuffers grain h5py matplotlib msgpack OpenEXR orbax PIL safetensors
tensorboardX tensorflow tensorflow_datasets tensorstore tifffile tqdm tyro
"""
ALONE = """
import importlib, sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        # what flax or jax imports for itself is installed with it
        if name.partition(".")[0] in sys.argv[1].split() and wanted():
            raise ImportError(f"{name} is not installed")

def wanted():
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] == "depthsi":
            return True
        if name.partition(".")[0] in ("flax", "jax", "jaxlib", "optax", "orbax", "chex"):
            return False
        frame = frame.f_back
    return True

sys.meta_path.insert(0, Blocked())
try:
    import tyro
except ImportError:
    pass
else:
    raise AssertionError("nothing is blocked")
import jax, jax.numpy as jnp
for name in ("losses", "metrics", "models"):
    module = importlib.import_module(f"depthsi.{name}")
    for each in module.__all__:
        getattr(module, each)
import pytest

import depthsi
true = jnp.full((2, 55, 74), 2.0)
net = depthsi.models.make_model("two_scale", width=0.01)
variables = net.init(jax.random.key(0), net.example_image())
log_depth = net.apply(variables, net.example_image(2), output="coarse")
loss = depthsi.losses.scale_invariant_loss(log_depth, jnp.log(true))
assert loss.shape == (2,) and bool(jnp.all(jnp.isfinite(loss)))
assert depthsi.metrics.depth_metrics(jnp.exp(log_depth), true)["d1"].shape == (2,)
"""


@pytest.mark.slow
def test_losses_metrics_and_networks_need_no_package_beyond_jax_and_flax():
    done = subprocess.run(
        [sys.executable, "-c", ALONE, OTHERS],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"JAX_PLATFORMS": "cpu"},
    )
    assert done.returncode == 0, done.stderr
