"""Pretrains coarse/conv1 to conv5 as a classifier of images (paper, section 3.3).

Question:  how much does the coarse network gain from convolutions pretrained on classification,
           like those of the authors on ImageNet? The paper finds random weights "not very" much
           worse.
Command:   python -m experiments.pretrain_classifier --data imagenet2012 --data-dir DIR \
             --out convs.safetensors
           or, for images in DIR/train/CLASS and DIR/val/CLASS:
           python -m experiments.pretrain_classifier --data folder --data-dir DIR --out FILE
           then: depthsi train nyu --init.coarse-convs convs.safetensors ...
Hardware:  one GPU for ImageNet; folders of some hundred images run on a CPU.
Time:      not measured. 90 passes over ImageNet are 115 million images.
Result:    none yet: ImageNet itself was not run. The tests run the whole chain on generated
           images of a few classes, in a folder and through TFDS, up to a depth training that
           starts with the convolutions.

As in the paper: two full layers of 4096 with dropout and one of as many outputs as classes, on
random crops of 224x224, mirrored or not, from the middle 256x256 of images whose short side is
256. The rate falls as a cosine from that of A. Krizhevsky et al., 2012, whose momentum and weight
decay these are, too. A run continues where it stopped if it is started with the same arguments. A
TFDS data set has to be there as array_record files already.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int, UInt8
from PIL import Image
from tqdm import tqdm

from depthsi import compilation
from depthsi.config import Config, ScheduleConfig, SgdConfig, TwoScaleConfig
from depthsi.data.formats.decoding import read_image
from depthsi.data.pipeline import OnDemand, training_batches
from depthsi.errors import DepthsiError
from depthsi.geometry import Geometry, Variant
from depthsi.models.coarse import coarse_features
from depthsi.presets import from_scratch
from depthsi.training.checkpoints.start_from_caffe import SHAPES, to_caffe
from depthsi.training.checkpoints.store import Checkpoints
from depthsi.training.parallel import make_mesh, replicated, split
from depthsi.training.state import State
from depthsi.weights.arrays import write_safetensors
from experiments.script import run_script

SIDE, CROP = 256, 224
Pictures = Any  # len(), and [i] -> (RGB uint8 (H, W, 3), number of its class)


@dataclasses.dataclass(frozen=True)
class Arguments:
    """Trains a classifier and writes its convolutions for --init.coarse-convs of depthsi train."""

    data: str
    """Name of a TFDS data set with image and label, such as imagenet2012, or the word folder."""
    data_dir: str
    """Data directory of TFDS, or the folder."""
    out: str
    """File for the convolutions, .safetensors."""
    run: str = "runs/classifier"
    """Directory for checkpoints."""
    epochs: int = 90
    """Passes over the training images."""
    batch_size: int = 128
    """Images per step."""
    learning_rate: float = 0.01
    """Initial learning rate."""
    full: int = 4096
    """Units of each of the two fully connected layers."""
    variant: Variant = "A"
    """Rounding of convolutions and pools; see depthsi.geometry."""
    save_every: int = 2000
    """Steps between two checkpoints."""
    seed: int = 0
    """Random seed."""


class Classifier(nn.Module):
    """The coarse network's convolutions under full layers that tell classes apart."""

    config: TwoScaleConfig
    classes: int
    full: int = 4096
    dtype: Any = jnp.float32
    remat: bool = False

    @nn.compact
    def __call__(
        self, image: Float[Array, "b H W 3"], *, train: bool = False
    ) -> Float[Array, "b classes"]:
        """Logits of images, RGB 0..255 of 224x224. Needs an rng "dropout" to train."""
        window = (CROP, CROP)
        size = Geometry("crop", self.config.variant, (SIDE, SIDE), window, window, (1, 1))
        x = coarse_features(self, image, size).reshape(len(image), -1)
        for name in ("fc6", "fc7"):
            x = nn.Dense(self.full, kernel_init=nn.initializers.he_normal(), name=name)(x)
            x = nn.Dropout(self.config.dropout, deterministic=not train)(nn.relu(x))
        return nn.Dense(self.classes, name="fc8")(x)


class Folder:
    """Images in one folder per class; classes are numbered by name."""

    def __init__(self, directory: Path) -> None:
        folders = sorted(path for path in directory.glob("*") if path.is_dir())
        self.files = [
            (file, label)
            for label, folder in enumerate(folders)
            for file in sorted(folder.iterdir())
            if file.suffix.lower() in (".jpg", ".jpeg", ".png")
        ]
        self.classes = len(folders)
        if len({label for _, label in self.files}) < max(self.classes, 2):
            raise DepthsiError(f"{directory} must have two or more folders, with images in each.")

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, i: int) -> tuple[UInt8[np.ndarray, "H W 3"], int]:
        file, label = self.files[i]
        return read_image(file), label


class Tfds:
    """A split of a TFDS data set of images with labels."""

    def __init__(self, name: str, data_dir: str, split: str) -> None:
        import tensorflow_datasets as tfds

        builder: Any = tfds.builder(name, data_dir=data_dir)
        self.classes = builder.info.features["label"].num_classes
        self._source = builder.as_data_source(split=split)

    def __len__(self) -> int:
        return len(self._source)

    def __getitem__(self, i: int) -> tuple[UInt8[np.ndarray, "H W 3"], int]:
        element = self._source[i]
        image = np.asarray(element["image"])
        return np.broadcast_to(image, (*image.shape[:2], 3)), int(element["label"])


class Squares(OnDemand):
    """Batches of the middle 256x256 of images, and their labels."""

    def __init__(self, pictures: Pictures) -> None:
        self._pictures, self.scenes = pictures, ()

    def __len__(self) -> int:
        return len(self._pictures)

    def read(self, numbers: np.ndarray | slice) -> tuple[np.ndarray, np.ndarray]:
        """uint8 (B, 256, 256, 3) and int32 (B,)."""
        chosen = [self._pictures[i] for i in np.arange(len(self))[numbers].tolist()]
        images, labels = zip(*chosen, strict=True)
        return np.stack([square(image) for image in images]), np.array(labels, np.int32)


def square(image: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "256 256 3"]:
    """The middle of an image scaled so that its short side is 256."""
    height, width = image.shape[:2]
    short = min(height, width)
    top, left = (height - short) / 2, (width - short) / 2
    picture = Image.fromarray(np.ascontiguousarray(image))
    box = (left, top, left + short, top + short)
    return np.asarray(picture.resize((SIDE, SIDE), Image.Resampling.BICUBIC, box))


def random_crops(key: Array, images: UInt8[Array, "b 256 256 3"]) -> Float[Array, "b 224 224 3"]:
    """Of each image a random crop, mirrored or not."""

    def one(key: Array, image: Array) -> Array:
        place, side = jax.random.split(key)
        corner = jax.random.randint(place, (2,), 0, SIDE - CROP + 1)
        crop = jax.lax.dynamic_slice(image, (*corner, 0), (CROP, CROP, 3))
        return jnp.where(jax.random.bernoulli(side), crop[:, ::-1], crop)

    return jax.vmap(one)(jax.random.split(key, len(images)), images).astype(jnp.float32)


def make_step(model: Classifier, optimizer: optax.GradientTransformation) -> Callable[..., Any]:
    """(state, images, labels) -> (state, loss); random numbers are those of the step."""

    def step(
        state: State, images: UInt8[Array, "b 256 256 3"], labels: Int[Array, " b"]
    ) -> tuple[State, Array]:
        crop_key, dropout_key = jax.random.split(jax.random.fold_in(state.key, state.step))
        crops = random_crops(crop_key, images)

        def loss_of(params: Any) -> Array:
            rngs = {"dropout": dropout_key}
            logits = jnp.asarray(model.apply({"params": params}, crops, train=True, rngs=rngs))
            return optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()

        loss, gradients = jax.value_and_grad(loss_of)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        params = optax.apply_updates(state.params, updates)
        return State(state.step + 1, params, opt_state, state.key), loss

    return step


def train(arguments: Arguments, pictures: Pictures) -> tuple[TwoScaleConfig, State]:
    """Trains from the newest checkpoint on, if there is one, and saves the end."""
    steps = max(arguments.epochs * len(pictures) // arguments.batch_size, 1)
    network = from_scratch(variant=arguments.variant)
    config = Config(
        model=network,
        optim=SgdConfig(learning_rate=arguments.learning_rate, rate_schedule="cosine"),
        schedule=ScheduleConfig(
            batch_size=arguments.batch_size,
            coarse_samples=steps * arguments.batch_size,
            fine_samples=0,
            eval_every=0,
            keep=2,
        ),
        seed=arguments.seed,
    )
    model = Classifier(network, pictures.classes, arguments.full)
    optimizer = optax.chain(
        optax.add_decayed_weights(
            5e-4, lambda params: jax.tree.map(lambda leaf: leaf.ndim > 1, params)
        ),
        optax.sgd(optax.cosine_decay_schedule(arguments.learning_rate, steps), momentum=0.9),
    )

    def initial() -> State:
        params_key, key = jax.random.split(jax.random.key(arguments.seed))
        params = model.init(params_key, jnp.zeros((1, CROP, CROP, 3)))["params"]
        return State(jnp.zeros((), jnp.int32), params, optimizer.init(params), key)

    mesh = make_mesh(arguments.batch_size, config.compute)
    update = compilation.jit(make_step(model, optimizer), donate_argnums=0)
    with Checkpoints(Path(arguments.run) / "checkpoints", config) as checkpoints:
        abstract = jax.eval_shape(initial)
        state = checkpoints.restore_newest(lambda step: abstract, replicated(mesh))
        if state is None:
            state = compilation.quick_jit(initial, out_shardings=replicated(mesh))()
        first = int(state.step)
        batches = training_batches(
            Squares(pictures), arguments.batch_size, arguments.seed, first_step=first
        )
        for step in (bar := tqdm(range(first + 1, steps + 1), initial=first, total=steps)):
            state, loss = update(state, *jax.device_put(next(batches), split(mesh)))
            if step % arguments.save_every == 0 or step == steps:
                if not np.isfinite(loss):
                    raise DepthsiError(f"The loss of step {step} is {loss}: lower --learning-rate.")
                checkpoints.save(step, state, "classifier", {})
                bar.set_postfix_str(f"loss {loss:.3f}")
        batches.close()
    return network, state


def errors(arguments: Arguments, params: Any, pictures: Pictures) -> tuple[float, float]:
    """Shares of images whose class is not the first, or among the first five; middle crops."""
    model = Classifier(from_scratch(variant=arguments.variant), pictures.classes, arguments.full)
    apply = compilation.jit(lambda params, crops: model.apply({"params": params}, crops))
    squares, edge, wrong = Squares(pictures), (SIDE - CROP) // 2, np.zeros(2)
    for start in range(0, len(squares), arguments.batch_size):
        images, labels = squares.read(slice(start, start + arguments.batch_size))
        crops = images[:, edge : edge + CROP, edge : edge + CROP].astype(np.float32)
        logits = np.asarray(apply(params, crops))
        own = np.take_along_axis(logits, labels[:, None], axis=1)
        better = np.sum(logits > own, axis=1)
        wrong += np.sum(better >= 1), np.sum(better >= 5)
    top1, top5 = wrong / len(squares)
    return float(top1), float(top5)


def open_split(arguments: Arguments, split: str) -> Folder | Tfds:
    """The split "train" or "val"."""
    if arguments.data == "folder":
        return Folder(Path(arguments.data_dir) / split)
    named = {"train": "train", "val": "validation"}[split]
    return Tfds(arguments.data, arguments.data_dir, named)


def main(arguments: Arguments) -> None:
    """Trains, writes the convolutions, and says how well classes are told apart on `val`."""
    if not arguments.out.endswith(".safetensors"):
        raise DepthsiError(f"--out is {arguments.out}; its name must end in .safetensors.")
    pictures, unseen = open_split(arguments, "train"), open_split(arguments, "val")
    config, state = train(arguments, pictures)
    params = jax.device_get(state.params)
    write_safetensors(arguments.out, to_caffe({name: params[name] for name in SHAPES}, config))
    top1, top5 = errors(arguments, params, unseen)
    print(f"{arguments.out}: top-1 error {100 * top1:.1f} %, top-5 error {100 * top5:.1f} %")


if __name__ == "__main__":
    run_script(main, Arguments, __doc__)
