"""Names of a package that are loaded from its modules when they are first used."""

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def lazy_names(
    package: str, modules: Mapping[str, str], names: Sequence[str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """What a package's `__init__` assigns to `__getattr__` and `__dir__`.

    Args:
      package: its name.
      modules: the module below it that has a name, by name; an empty string for a name that is
        itself a module.
      names: all public names, those of `modules` among them.
    """

    def load(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        if not modules[name]:
            return importlib.import_module(f"{package}.{name}")
        return getattr(importlib.import_module(f"{package}.{modules[name]}"), name)

    return load, lambda: sorted(names)
