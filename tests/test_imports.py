"""Every module of the package can be imported, and importing does no work."""

import os
import pkgutil
import subprocess
import sys

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
