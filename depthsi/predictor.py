"""From an image to its depth in one call.

predictor = depthsi.load()  # or depthsi.load("runs/rooms")
depth = predictor("photo.jpg")  # (H, W) float32, metres
"""

import dataclasses
import functools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jax
import numpy as np
from jaxtyping import Array, Float, Float32

from depthsi.errors import DepthsiError, require_choice
from depthsi.exports.artefact import SUFFIX, ExportedNetwork, read_artefact
from depthsi.exports.write import write_exported
from depthsi.geometry import Geometry
from depthsi.inference import log_depth_function, make_window_network
from depthsi.photos import CameraSource, ImageLike, as_photo, with_camera
from depthsi.scale import (
    KnownFit,
    ScaleInterval,
    ScalePrior,
    known_scale,
    stored_interval,
    stored_prior,
)
from depthsi.training.checkpoints import trained
from depthsi.upsampling import Upsampling
from depthsi.weights.network_file import Dtype, TrainedNetwork
from depthsi.weights.shipped import DEFAULT, named_file
from depthsi.windows import predict_depths

if TYPE_CHECKING:
    from flax.linen import Module
else:
    Module = Any  # without Flax, which exported networks do not need


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
    dtype: Dtype = "float32",
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
    write_exported(path, predictor.network, predictor.output, dtype)


@dataclasses.dataclass(frozen=True, eq=False)
class Predictor:
    """Depth maps of images of any size.

    Calling it takes one image, `batch` several, and `stream` any number of them one after another.
    An image is

      - the path of a photo, turned upright as its EXIF orientation says;
      - a `PIL.Image.Image`, likewise;
      - an array (H, W, 3) of RGB, uint8 in 0..255 or floats in 0..1;
      - a `Photo`, which has a focal length as well.

    The result is an array (H, W) of float32 metres: the distance along the optical axis, NaN where
    the network does not predict. For metres the network has to know the camera: by `focal`, the
    focal length in pixels of the image, by `fov`, the horizontal field of view in degrees, or by
    the focal length for 35 mm film in the EXIF of a photo, unless `camera` is "training". Where
    none is known, the image is taken for one of the training camera.

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

    @property
    def scale_interval(self) -> ScaleInterval | None:
        """How far the scale of its maps is to trust, by the images it was validated with.

        None if that was not measured: by earlier versions, for another output, or on too few.
        """
        return stored_interval(self.network.about, self.output)

    def scale_prior(self, fit: str) -> ScalePrior | None:
        """What `depthsi.scale.known_scale` weighs known distances against; None for "exact".

        Args:
          fit: "exact" or "weighted".

        Raises:
          DepthsiError: "weighted", and nothing was measured on validation images; any other word.
        """
        require_choice("known_fit", fit, KnownFit)
        if fit == "exact":
            return None
        if (prior := stored_prior(self.network.about, self.output)) is None:
            raise DepthsiError(
                "known_fit is 'weighted', but the network has no record of its errors on validation"
                " images: use 'exact'."
            )
        return prior

    def __call__(
        self,
        image: ImageLike,
        *,
        known: Mapping[Any, float | int] | None = None,
        known_fit: KnownFit = "exact",
        focal: float | int | None = None,
        fov: float | int | None = None,
        camera: CameraSource = "exif",
        upsample: Upsampling = "guided",
    ) -> Float32[np.ndarray, "H W"]:
        """Depth of one image.

        Args:
          image: see above.
          known: distances in metres at points (x, y), by which the whole map is brought to scale,
            see `depthsi.scale.known_scale`: `{(320, 240): 2.4}` or `{(0.5, 0.5): 2.4}`.
          known_fit: "exact" brings the mean log error at these points to 0; "weighted" goes only as
            far as they are to be trusted more than the network's own scale, which leaves a smaller
            error on average.
          focal: focal length in pixels of this image.
          fov: horizontal field of view in degrees, in its place.
          camera: "exif" uses the EXIF of a photo if neither is given, "training" does not.
          upsample: from the network's cells to pixels: "guided" by the edges of the image,
            "bilinear", or "nearest".

        Returns:
          Metres.

        Raises:
          DepthsiError: an image, a known distance or a camera that cannot be used.
        """
        prior = self.scale_prior(known_fit)
        depth = next(self.stream([image], focal=focal, fov=fov, camera=camera, upsample=upsample))
        return depth if known is None else depth * np.float32(known_scale(depth, known, prior))

    def batch(
        self, images: Iterable[ImageLike], **options: Any
    ) -> list[Float32[np.ndarray, "_ _"]]:
        """Depth of several images, which may differ in size, computed together.

        Args:
          images: any iterable of them; each is a path, a PIL image or an array (H, W, 3).
          options: focal, fov, camera and upsample, as for `stream`.
        """
        return list(self.stream(images, **options))

    def stream(
        self,
        images: Iterable[ImageLike],
        *,
        focal: float | int | None = None,
        fov: float | int | None = None,
        camera: CameraSource = "exif",
        upsample: Upsampling = "guided",
    ) -> Iterator[Float32[np.ndarray, "_ _"]]:
        """Depth of one image after another; only as many are held as the device computes at once.

        Args:
          images: any iterable, also an endless one.
          focal: focal length in pixels of all of them.
          fov: horizontal field of view in degrees, in its place.
          camera: see `__call__`.
          upsample: see `__call__`.

        Raises:
          DepthsiError: as for `__call__`, when the image's turn comes.
        """
        require_choice("camera", camera, CameraSource)
        require_choice("upsample", upsample, Upsampling)
        photos = (with_camera(as_photo(each), focal, fov, camera) for each in images)
        yield from predict_depths(self._windows, photos, self.sizes, upsample)

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
