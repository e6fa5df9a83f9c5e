"""Your own network, any Flax Linen module, behind the interface of the built-in networks."""

import dataclasses
import inspect
import re
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from flax.errors import InvalidRngError
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Shaped

from depthsi.compilation import quick_jit
from depthsi.errors import DepthsiError
from depthsi.models.checks import checked_image
from depthsi.models.settings import CustomNetworkConfig

NAME_LENGTH = 300  # characters


class CustomNet(nn.Module):
    """Another module as the one network of a run, which "custom" is the name of.

    Attributes:
      config: geometry of the images and maps.
      custom: the module, from `checked_module`: images to log depth.
    """

    config: CustomNetworkConfig
    custom: nn.Module

    def example_image(self, batch: int = 1) -> Float[Array, "b H W 3"]:
        """Black images (batch, H, W, 3) of the network's input size, to initialise it with.

        Args:
          batch: number of images.
        """
        return jnp.zeros((batch, *self.config.sizes.input, 3))

    @nn.compact
    def __call__(
        self,
        image: Shaped[ArrayLike, "..."],
        *,
        train: bool = False,
        output: str = "",
        examples: Int[Array, " b"] | None = None,
    ) -> Float[Array, "b h w"]:
        """Predicts log depth.

        Args:
          image: RGB on the scale 0..255, of the geometry's `input` size.
          train: passed on to a module that has such an argument.
          output: "custom", or nothing.
          examples: changes nothing.

        Returns:
          Log depth, natural log of metres, float32, of the geometry's `output` size.

        Raises:
          ValueError: an output the network does not have, or images of another size, type or scale.
          DepthsiError: the module's result is not such a map.
        """
        pixels = checked_image(image, self.config.sizes)
        del examples
        if output not in ("", "custom"):
            raise ValueError(f"`output` (={output!r}) must be 'custom', the network's only one")
        options = {"train": train} if _takes_train(self.custom) else {}
        found = self.custom(pixels, **options)
        _check_map(found, (pixels.shape[0], *self.config.sizes.output))
        return jnp.asarray(found, jnp.float32)


def checked_module(network: Any) -> nn.Module:
    """`network` by the name that its parameters have in a run, if it is a Linen module.

    Raises:
      DepthsiError: it is none, and how to make one of it.
    """
    if isinstance(network, type):
        raise DepthsiError(
            f"The network is the class {network.__name__}: pass an instance,"
            f" {network.__name__}(...)."
        )
    from flax import nnx  # a second to import, for this question alone

    if isinstance(network, nnx.Module):
        name = type(network).__name__
        raise DepthsiError(
            f"The network is an NNX module: pass flax.nnx.bridge.to_linen({name}, ...), which"
            " creates"
            " its parameters itself."
        )
    if not isinstance(network, nn.Module):
        raise DepthsiError(
            f"The network is a {type(network).__name__}: pass a flax.linen module that takes"
            " images and"
            " returns log depth."
        )
    return network.clone(name="custom", parent=None)


def describe_module(network: nn.Module) -> str:
    """Its class and attributes in one line that is the same in every process."""
    fields = {
        field.name: getattr(network, field.name, None)
        for field in dataclasses.fields(network)
        if field.name not in ("parent", "name")
    }
    inside = ", ".join(f"{name}={value!r}" for name, value in fields.items())
    text = re.sub(r" at 0x[0-9a-f]+", "", f"{type(network).__qualname__}({inside})")
    text = " ".join(text.split())
    return text if len(text) <= NAME_LENGTH else f"{text[: NAME_LENGTH - 3]}..."


def check_network(model: CustomNet, seed: int = 0) -> None:
    """Initialises your own network and predicts once, before anything is trained.

    Args:
      model: model of a new run.
      seed: of its parameters and of the images.

    Raises:
      DepthsiError: variables that are not trained, parameters that are not float32, a random stream
        that training does not have, a map of another shape or type, or one that is not finite.
    """
    shape = 2, *model.config.sizes.input, 3
    images = jnp.float32(np.random.default_rng(seed).integers(0, 256, shape))
    try:
        found, variables = quick_jit(model.init_with_output)(jax.random.key(seed), images)
        variables = nn.meta.unbox(dict(variables))
        _check_variables(variables)
        keys = {"dropout": jax.random.key(0)}
        jax.eval_shape(lambda v: model.apply(v, images, train=True, rngs=keys), variables)
    except InvalidRngError as error:
        reason = str(error).split("(http")[0].strip()
        raise DepthsiError(
            f"The network asks for a random stream that training does not have ({reason}): draw"
            " from 'dropout'."
        ) from error
    finite = np.isfinite(found)
    if not finite.all():
        raise DepthsiError(
            f"The network's log depth is not finite in {1 - finite.mean():.0%} of its cells before"
            " the first step: check its initialisation on images in 0..255."
        )


def fitted_params(settings: CustomNetworkConfig, network: Any, params: Any, where: str) -> Any:
    """Stored parameters in the structure of the module they are to be used in.

    Args:
      settings: settings of the network.
      network: the module.
      params: nested dictionaries of arrays, whose keys a file made texts of.
      where: they are from, for the message.

    Raises:
      DepthsiError: a parameter is missing, left over, or of another shape.
    """
    model = CustomNet(settings, checked_module(network))
    variables = jax.eval_shape(model.init, jax.random.key(0), model.example_image())
    abstract = nn.meta.unbox(dict(variables["params"]))
    wanted, there = _by_name(abstract), _by_name(params)
    for name in sorted({*wanted, *there}):
        has, needs = (
            tuple(arrays[name].shape) if name in arrays else "no such array"
            for arrays in (there, wanted)
        )
        if has != needs:
            raise DepthsiError(
                f"The parameters of {where} do not fit the network that is given: {name} is {has}"
                f" there and {needs} in the network; give the module it was trained with"
                f"{f', {settings.name}' if settings.name else ''}."
            )
    return jax.tree.unflatten(jax.tree.structure(abstract), [there[name] for name in wanted])


def _by_name(tree: Any) -> dict[str, Any]:
    leaves = jax.tree_util.tree_leaves_with_path(dict(tree))
    return {jax.tree_util.keystr(p, simple=True, separator="/"): leaf for p, leaf in leaves}


def _takes_train(module: nn.Module) -> bool:
    return "train" in inspect.signature(type(module).__call__).parameters


def _check_map(found: Any, wanted: tuple[Any, ...]) -> None:  # exports have a symbolic batch
    shape = getattr(found, "shape", None)
    if shape is None:
        raise DepthsiError(
            f"The network returns a {type(found).__name__}: it must return one array of log depth,"
            f" (batch, {wanted[1]}, {wanted[2]})."
        )
    if shape != wanted:
        remedy = "resize it or take every fourth cell"
        if shape == (*wanted, 1):
            remedy = "drop the channel axis, [..., 0]"
        raise DepthsiError(
            f"The network returns the shape {shape} for {wanted[0]} images: it must return log"
            " depth"
            f" {wanted}; {remedy}."
        )
    if not jnp.issubdtype(found.dtype, jnp.floating):
        raise DepthsiError(f"The network returns {found.dtype}: log depth must be floating-point.")


def _check_variables(variables: Mapping[str, Any]) -> None:
    if others := sorted(set(variables) - {"params"}):
        raise DepthsiError(
            f"The network has variables that are not parameters ({', '.join(others)}), which the"
            " training does not update: use, for example, nn.GroupNorm or nn.LayerNorm instead"
            " of nn.BatchNorm."
        )
    arrays = _by_name(variables.get("params", {}))
    if not arrays:
        raise DepthsiError("The network has no parameters to train.")
    for name, array in arrays.items():
        if array.dtype != jnp.float32:
            raise DepthsiError(
                f"The network's parameter {name} is {array.dtype}: it must be float32"
                " (param_dtype), whatever the network computes in (dtype)."
            )
