"""Coarse 1 to 5 from an ImageNet classifier in the convention of Caffe's CaffeNet, and back.

The file holds weights and biases of conv1 to conv5 for a network that Caffe runs as

  y = conv1(x - mean)                x: blue, green, red, 0..255; mean: 104, 117, 123
  pool 3x3/2, then y * (1 + (1e-4 / 5) sum of y^2 over 5 channels)^-0.75      after conv1 and conv2

with ReLUs, weights (out, in, rows, columns), and two groups of channels in conv2, conv4 and conv5,
each of which sees one half of its input; weights of the full input count as one group. The layers
here get weights with which they compute the same from their own input, (red, green, blue - M) / S
with the settings `coarse_input_mean` and `coarse_input_std`, and with the constants of the authors'
normalisation (`models.layers.local_response_norm`), k = 2 and an alpha that is not divided by 5:

  groups       zeros where a filter does not see a channel
  mean, M, S   S * kernel, and sum(kernel * (M - mean)) more bias
  k, alpha     with a^2 = 0.4, LRN_authors(a y) = a 2^-0.75 LRN_caffe(y): conv1 and conv2 times a,
               the kernel after each divided by a 2^-0.75

That is exact up to rounding wherever conv1 does not reach over the edge of the image. Variants B
and C never do. In variant A it sees two rows and columns more on every side, which are 0 after the
subtraction: they stand for grey of M, where Caffe's own padding would stand for the mean colour.
Without `local_response_norm` the layers are those of the file, but the network is not.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from depthsi.config import ModelConfig, TwoScaleConfig
from depthsi.errors import DepthsiError
from depthsi.files import PathLike
from depthsi.models.layers import scaled_width
from depthsi.weights.arrays import read_arrays

SHAPES = {  # Caffe's, without groups
    "conv1": (96, 3, 11, 11),
    "conv2": (256, 96, 5, 5),
    "conv3": (384, 256, 3, 3),
    "conv4": (384, 384, 3, 3),
    "conv5": (256, 384, 3, 3),
}
GROUPED = ("conv2", "conv4", "conv5")
MEAN = (104.0, 117.0, 123.0)  # blue, green, red
LARGEST = 1e30  # of any weight, so that all that is computed from it fits into float32
_PARTS = [(layer, kind) for layer in SHAPES for kind in ("weight", "bias")]
_NAME = re.compile(r"(?:.*[./])?conv[1-5][._/](?:weights?|w|bias(?:es)?|b)", re.IGNORECASE)
_LRN_SCALE = 0.4**0.5
_LRN_GAIN = _LRN_SCALE * 2**-0.75

Layers = dict[str, dict[str, np.ndarray]]  # "conv1" -> "kernel" (rows, columns, in, out), "bias"
Parts = Mapping[tuple[str, str], np.ndarray]  # ("conv1", "weight" or "bias") -> Caffe's array


def read_coarse_convs(path: PathLike, config: ModelConfig) -> dict[str, np.ndarray]:
    """Parameters for coarse/conv1 to conv5 from a file.

    Args:
      path: `.safetensors` or `.npz`. A layer's arrays may be called `conv1.weight` and
        `conv1.bias`, as PyTorch does, `conv1_w` and `conv1_b`, as Caffe2, or anything like these:
        `/` as separator, `weights`, `biases`, any case, a prefix that ends in `.` or `/`. Other
        arrays, such as fc6, are not looked at.
      config: the network they are for.

    Returns:
      float32 kernels and biases by path, such as "coarse/conv1/kernel".

    Raises:
      DepthsiError: the network has another kind or width, the file cannot be used, or an array is
        missing, duplicated, of another shape, or not finite.
    """
    if not isinstance(config, TwoScaleConfig):
        raise DepthsiError(
            f"init.coarse_convs has weights for the paper's coarse network, but model.kind is"
            f" {config.kind}: leave it out or set model.kind two_scale."
        )
    if config.width != 1.0:
        has = scaled_width(SHAPES["conv1"][0], config.width)
        raise DepthsiError(
            f"init.coarse_convs needs model.width 1.0, not {config.width}: conv1 has"
            f" {SHAPES['conv1'][0]} filters in such files and {has} in this network."
        )
    found: dict[tuple[str, str], np.ndarray] = {}
    for name, array in read_arrays(path, lambda name: _NAME.fullmatch(name) is not None).items():
        *_, layer, word = re.split("[._/]", name.lower())
        kind = "weight" if word.startswith("w") else "bias"
        if (layer, kind) in found:
            raise DepthsiError(f"{path} has two arrays for the {kind} of {layer}: remove one.")
        values = array.astype(np.float64)
        if not np.all(np.abs(values) < LARGEST):
            raise DepthsiError(f"{path} has values in {name} that are not finite or too large.")
        found[layer, kind] = values
    layers = from_caffe({part: _checked(path, part, found) for part in _PARTS}, config)
    return {
        f"coarse/{layer}/{kind}": array
        for layer, both in layers.items()
        for kind, array in both.items()
    }


def from_caffe(arrays: Parts, config: TwoScaleConfig) -> Layers:
    """Kernels and biases that compute here what `arrays` compute in Caffe; see the module.

    Args:
      arrays: float64 weight and bias of each layer, of `SHAPES`, or with half the inputs where the
        layer may be grouped.
      config: scales of the input, and whether there is response normalisation.
    """
    layers = {}
    for layer, (before, after) in _lrn_factors(config).items():
        weight, bias = _dense(arrays[layer, "weight"], SHAPES[layer][1]), arrays[layer, "bias"]
        if layer == "conv1":
            shift = config.coarse_input_mean - np.array(MEAN)
            bias = bias + np.einsum("oihw,i->o", weight, shift)
            weight = config.coarse_input_std * weight[:, ::-1]
        kernel = after / before * weight.transpose(2, 3, 1, 0)
        bias = after * bias
        layers[layer] = {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}
    return layers


def to_caffe(
    layers: Mapping[str, Mapping[str, Any]], config: TwoScaleConfig
) -> dict[str, np.ndarray]:
    """The inverse of `from_caffe`: arrays called conv1.weight, conv1.bias, ... without groups."""
    arrays = {}
    for layer, (before, after) in _lrn_factors(config).items():
        kernel, bias = (np.asarray(layers[layer][k], np.float64) for k in ("kernel", "bias"))
        weight, bias = before / after * kernel.transpose(3, 2, 0, 1), bias / after
        if layer == "conv1":
            weight = weight[:, ::-1] / config.coarse_input_std
            shift = config.coarse_input_mean - np.array(MEAN)
            bias = bias - np.einsum("oihw,i->o", weight, shift)
        arrays[f"{layer}.weight"] = weight.astype(np.float32)
        arrays[f"{layer}.bias"] = bias.astype(np.float32)
    return arrays


def _lrn_factors(config: TwoScaleConfig) -> dict[str, tuple[float, float]]:
    """By layer: how much larger its input and its output are here than in Caffe."""
    scale, gain = (_LRN_SCALE, _LRN_GAIN) if config.local_response_norm else (1.0, 1.0)
    return {
        "conv1": (1.0, scale),
        "conv2": (gain, scale),
        "conv3": (gain, 1.0),
        "conv4": (1.0, 1.0),
        "conv5": (1.0, 1.0),
    }


def _dense(weight: np.ndarray, inputs: int) -> np.ndarray:
    """The same filters with zeros for the inputs of the other groups."""
    out, seen = weight.shape[:2]
    groups = inputs // seen
    dense = np.zeros((out, inputs, *weight.shape[2:]))
    for group in range(groups):
        filters = slice(group * out // groups, (group + 1) * out // groups)
        dense[filters, group * seen : (group + 1) * seen] = weight[filters]
    return dense


def _checked(path: PathLike, part: tuple[str, str], found: Parts) -> np.ndarray:
    layer, kind = part
    if part not in found:
        raise DepthsiError(
            f"{path} has no {kind} of {layer}: it needs {layer}.{kind} or {layer}_{kind[0]}."
        )
    array, full = found[part], SHAPES[layer]
    shapes: list[tuple[int, ...]] = [full] if kind == "weight" else [full[:1]]
    if kind == "weight" and layer in GROUPED:
        shapes.append((full[0], full[1] // 2, *full[2:]))
    if array.shape not in shapes:
        raise DepthsiError(
            f"{path} has the {kind} of {layer} in the shape {array.shape}, not"
            f" {' or '.join(map(str, shapes))} as in CaffeNet."
        )
    return array
