"""From an image to its depth in one call.

predictor = depthsi.load()  # or depthsi.load("runs/rooms")
depth = predictor("photo.jpg")  # (H, W) float32, metres
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jax
import numpy as np
from jaxtyping import Array, Float, Float32, UInt8
from PIL import Image, ImageOps

from depthsi.data.formats import images
from depthsi.errors import DepthsiError
from depthsi.exports.artefact import SUFFIX, ExportedNetwork, read_artefact
from depthsi.geometry import Geometry
from depthsi.inference import log_depth_function, make_window_network, predict_depths
from depthsi.training.checkpoints import trained
from depthsi.weights.network_file import TrainedNetwork, write_network
from depthsi.weights.shipped import DEFAULT, named_file

if TYPE_CHECKING:
    from flax.linen import Module
else:
    Module = Any  # without Flax, which exported networks do not need

ImageLike = str | os.PathLike[str] | Image.Image | np.ndarray | jax.Array


def load(
    model: str | os.PathLike[str] = DEFAULT,
    *,
    checkpoint: str | int = "newest",
    output: str | None = None,
    network: Module | None = None,
) -> "Predictor":
    """A trained network, ready to predict.

    Args:
      model: the name of a network that comes with the package (`depthsi models` lists them), the
        directory of a run, a file of weights as `depthsi train` writes it into the run
        (`weights.safetensors`), or an exported network (`.stablehlo`), for which Flax is not
        imported; or a file of weights on the Hugging Face hub (`hf://USER/REPOSITORY`, which needs
        the extra `hub`) or at an https address.
      checkpoint: of a run: newest, best, or the step of one of its checkpoints.
      output: which of the network's maps to predict, such as "coarse"; the best trained one if not
        given.
      network: the Flax module that was trained, for a network of one's own: files hold its
        parameters, but not what it computes.

    Raises:
      DepthsiError: there is no run or file, it is damaged, or it has no such checkpoint or output;
        `network` is missing, has other parameters, or is not called for.

    Example:
      >>> import depthsi, numpy as np
      >>> predictor = depthsi.load()
      >>> predictor(np.zeros((480, 640, 3), np.uint8)).shape
      (480, 640)
    """
    path = named_file(model)
    if path.suffix != SUFFIX:
        return Predictor(trained.trained_network(path, str(checkpoint), network), output or "")
    if network is not None:
        raise DepthsiError(f"{path} is an exported network, which is whole: leave out `network`.")
    if checkpoint != "newest":
        raise DepthsiError(f"{path} is an exported network, without checkpoints to choose from.")
    return Predictor(read_artefact(path), output or "")


def is_model(path: str | os.PathLike[str]) -> bool:
    """Whether `load` takes `path` for a run, a file, or the name of a network of the package."""
    return Path(path).suffix == SUFFIX or trained.is_model(path)


def export(
    predictor: "Predictor",
    path: str | os.PathLike[str],
    *,
    dtype: Literal["float32", "bfloat16"] = "float32",
) -> None:
    """Writes a network as one file, whole or not at all.

    Args:
      predictor: from `load`.
      path: of the file. One that ends in .stablehlo is a program for CPUs, GPUs and TPUs that gives
        the predictor's output, see `depthsi.exports.artefact`; one in .onnx the same for other
        runtimes, see `depthsi.exports.onnx`; one in .safetensors has the parameters by name and
        all outputs, see `depthsi.weights.network_file`. `load` reads the first and the last.
      dtype: of the numbers in .safetensors; those in the others are float32.

    Raises:
      DepthsiError: another ending; bfloat16 for one of the others; the network is itself an
        exported one; jax2onnx is not installed, which .onnx needs.
      OSError: the file cannot be written.

    Example:
      >>> predictor = depthsi.load("runs/rooms")  # doctest: +SKIP
      >>> depthsi.export(predictor, "rooms.stablehlo")  # doctest: +SKIP
    """
    network, output, suffix = predictor.network, predictor.output, Path(path).suffix
    if isinstance(network, ExportedNetwork):
        raise DepthsiError(
            "This network was exported already and has no parameters to write: export the run or"
            " the file of weights it was made from."
        )
    if dtype != "float32" and suffix in (SUFFIX, ".onnx"):
        raise DepthsiError(f"{path} cannot hold {dtype}: only .safetensors can.")
    if suffix == SUFFIX:
        from depthsi.exports.stablehlo import write_stablehlo

        write_stablehlo(path, network, output)
    elif suffix == ".onnx":
        from depthsi.exports.onnx import write_onnx

        write_onnx(path, network, output)
    elif suffix == ".safetensors":
        write_network(path, network, dtype)
    else:
        raise DepthsiError(f"{path} must end in .stablehlo, .safetensors or .onnx.")


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """Depth maps of images of any size.

    Calling it takes one image, `batch` several, and `stream` any number of them one after another.
    An image is

      - the path of a photo, turned upright as its EXIF orientation says;
      - a `PIL.Image.Image`, likewise;
      - an array (H, W, 3) of RGB, uint8 in 0..255 or floats in 0..1.

    The result is an array (H, W) of float32 metres: the distance along the optical axis, NaN where
    the network does not predict. It is metric as far as the photo's camera is like the camera of
    the training data.

    Attributes:
      network: its settings, and its parameters or the function that it was exported as.
      output: which of the network's maps is predicted; the best trained one if none is given.

    Raises:
      DepthsiError: an image that cannot be used, or an output that was not trained.

    Example:
      >>> import depthsi, jax, numpy as np
      >>> net = depthsi.models.TwoScaleConfig(width=0.02)
      >>> params = depthsi.models.initial_params(
      ...     depthsi.models.make_model(net), jax.random.key(0), np.zeros((1, 228, 304, 3))
      ... )
      >>> trained = depthsi.TrainedNetwork(net, params, ("coarse", "fine"), step=0)
      >>> predictor = depthsi.Predictor(trained)
      >>> depth = predictor(np.zeros((480, 640, 3), np.uint8))
      >>> depth.shape, depth.dtype
      ((480, 640), dtype('float32'))
    """

    network: TrainedNetwork | ExportedNetwork
    output: str = ""

    def __post_init__(self) -> None:
        if not self.output:
            object.__setattr__(self, "output", self.network.outputs[-1])
        if self.output not in self.network.outputs:
            raise DepthsiError(
                f"The output {self.output!r} has not been trained: choose one of"
                f" {', '.join(self.network.outputs)}."
            )

    @property
    def sizes(self) -> Geometry:
        """The sizes of images and maps that the network was trained with."""
        return self.network.settings.sizes

    def __call__(self, image: ImageLike) -> Float32[np.ndarray, "H W"]:
        """Depth of one image, (H, W) float32 metres."""
        return next(self.stream([image]))

    def batch(self, images: Iterable[ImageLike]) -> list[Float32[np.ndarray, "_ _"]]:
        """Depth of several images, which may differ in size, computed together.

        Args:
          images: any iterable of them; each is a path, a PIL image or an array (H, W, 3).
        """
        return list(self.stream(images))

    def stream(self, images: Iterable[ImageLike]) -> Iterator[Float32[np.ndarray, "_ _"]]:
        """Depth of one image after another; only as many are held as the device computes at once.

        Args:
          images: any iterable, also an endless one.
        """
        yield from predict_depths(self._windows, map(as_rgb, images), self.sizes)

    def log_depth(
        self, images: Float[Array, "b H W 3"], params: Any = None
    ) -> Float[Array, "b h w"]:
        """The network itself: a pure function to be jitted, mapped or differentiated.

        Args:
          images: RGB on the scale 0..255, of the size `sizes.input`.
          params: to use in place of those of the network.

        Returns:
          Log depth, natural log of metres, of the size `sizes.output`.

        Raises:
          DepthsiError: the network is an exported one, which has no parameters.
        """
        if isinstance(self.network, ExportedNetwork):
            raise DepthsiError(
                "An exported network has no parameters: load the run or the file of weights it was"
                " made from, or call predictor.network.metres."
            )
        params = self.network.params if params is None else params
        return log_depth_function(self.network.settings, self.output, self.network.module)(
            params, images
        )

    @functools.cached_property
    def _windows(self) -> Callable[[Any], Any]:
        network = self.network
        if isinstance(network, ExportedNetwork):
            return network.window_log_depth
        from flax.errors import FlaxError

        params = jax.device_put(dict(network.params))  # once, not with every batch
        apply = make_window_network(network.settings, params, self.output, network.module)

        def log_depth(windows: Any) -> Any:
            try:
                return apply(windows)
            except FlaxError as error:
                reason = str(error).split("(http")[0].strip()
                raise DepthsiError(
                    f"The parameters do not fit the network of {network.settings}: {reason}"
                ) from error

        return log_depth


def as_rgb(image: ImageLike) -> UInt8[np.ndarray, "H W 3"]:
    """What `Predictor` takes as an image, as an array (H, W, 3) of RGB in 0..255.

    Raises:
      DepthsiError: a file that cannot be read, or an array that is no such image, and what to do.
    """
    if isinstance(image, str | os.PathLike):
        return images.read_image(image, exif=True)
    if isinstance(image, Image.Image):
        return images.as_rgb(ImageOps.exif_transpose(image))
    return images.image_uint8(np.asarray(image))
