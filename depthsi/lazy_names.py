"""Loads names of a package from its modules on first use."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, str], names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The functions that a package's `__init__` assigns to `__getattr__` and `__dir__`.

    Args:
      package: name of the package.
      modules: for each name, the module that has it; an empty string if the name is a module.
      names: all public names, including those of `modules`.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if not modules[name]:
            return importlib.import_module(f"{package}.{name}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    return load, lambda: sorted(names)
