"""Compiling with the options this network wants on a CPU."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import jax

T = TypeVar("T")
_FORGET: list[Callable[[], None]] = []  # one entry for each function that is remembered

# XLA routes convolutions on CPUs to a library that is several times slower for the first layers,
# three channels wide and strided. This keeps the library for reductions only.
_CONVOLUTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE"}
# XLA's older loops make training steps 4 to 15 % faster and, at a lower level of optimisation that
# hardly changes a step, their compilation up to 45 % cheaper (experiments/benchmarks/step.py).
_LEVEL = "xla_backend_optimization_level"
_LOOPS = {"xla_cpu_use_fusion_emitters": False, _LEVEL: 2}
# Experimental in XLA, hence set per function: the first of these that is accepted is used.
_CPU_OPTIONS = (_CONVOLUTIONS | _LOOPS, _CONVOLUTIONS, {})
# Which of them, in versions of JAX where that need not be tried out.
_ACCEPTED: dict[tuple[int, ...], int] = {(0, 10): 0, (0, 12): 1}


def compiler_options() -> dict[str, Any] | None:
    """Options for functions with convolutions on the current backend; None where there are none."""
    if jax.default_backend() != "cpu":
        return None
    options = _accepted_options()
    if jax.config.read("jax_disable_most_optimizations"):  # as the tests have it
        options = {name: value for name, value in options.items() if name != _LEVEL}
    return options or None


def jit(function: Callable[..., Any], **options: Any) -> jax.stages.Wrapped:
    """`jax.jit` with `compiler_options()`; initialises the backend."""
    return jax.jit(function, compiler_options=compiler_options(), **options)


def quick_jit(function: Callable[..., Any], **options: Any) -> jax.stages.Wrapped:
    """`jax.jit` for what runs once: on CPUs, whose compiler is slow, not optimised."""
    quick = {_LEVEL: 0, "xla_llvm_disable_expensive_passes": True}
    return _jit_on_cpu(function, lambda: _accepted_options() | quick, **options)


def thorough_jit(function: Callable[..., Any], **options: Any) -> jax.stages.Wrapped:
    """`jax.jit` for what runs often, optimised even where jax is told not to optimise."""
    thorough = {_LEVEL: 3, "xla_llvm_disable_expensive_passes": False}
    return _jit_on_cpu(function, lambda: thorough, **options)


def _jit_on_cpu(
    function: Callable[..., Any], on_cpu: Callable[[], dict[str, Any]], **options: Any
) -> jax.stages.Wrapped:
    """`jax.jit` with these compiler options on CPUs, and none elsewhere."""
    chosen = on_cpu() if jax.default_backend() == "cpu" else None
    return jax.jit(function, compiler_options=chosen, **options)


def remembered(make: Callable[..., T]) -> Callable[..., T]:
    """Decorator for a function that makes functions: equal arguments give the same object.

    What was compiled for one training is used by the next one in the same process, which does not
    even trace it. Keyword arguments are what users write, which may depend on something that
    changes: with any that is not None, nothing is remembered. Nor is it for settings with a list.
    """
    known = functools.lru_cache(maxsize=8)(make)
    _FORGET.append(known.cache_clear)

    @functools.wraps(make)
    def recall(*arguments: Any, **own: Any) -> T:
        try:
            hash(arguments)
        except TypeError:
            return make(*arguments, **own)
        if any(value is not None for value in own.values()):
            return make(*arguments, **own)
        return known(*arguments)

    return recall


def forget() -> None:
    """Drops what `remembered` keeps, and with it the compiled programs that nothing else uses."""
    for clear in _FORGET:
        clear()


def loops_on_device() -> bool:
    """Whether what repeats should be a loop inside a compiled function.

    Not on CPUs: there, convolutions inside a compiled loop run on one thread and are some ten times
    slower (XLA of jax 0.10 to 0.12), whereas the calls that a loop saves cost next to nothing.
    """
    return jax.default_backend() != "cpu"


@functools.cache
def _accepted_options() -> dict[str, Any]:
    if (known := _ACCEPTED.get(jax.__version_info__[:2])) is not None:
        return _CPU_OPTIONS[known]
    return next(options for options in _CPU_OPTIONS if _accepts(options))


def _accepts(options: dict[str, Any]) -> bool:
    try:
        jax.jit(lambda x: x, compiler_options=options).lower(0.0).compile()
    except Exception:  # a version without one of the options refuses it in its own words
        return False
    return True
