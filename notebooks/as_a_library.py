# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # depthsi as a library: your own data, network, loss, optimiser and loop
#
# Everything below starts from `import depthsi` and the docstrings that `help` shows. The images
# are computed rooms, whose depth is exact; the network is small enough to train on a CPU while
# you read. Nothing in the package is edited or subclassed.

# %%
import dataclasses
import itertools
import os
import tempfile

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

import depthsi
from depthsi.data import InMemory, training_batches
from depthsi.rooms.source import RoomsSource
from depthsi.training import initial_state, make_stages, make_train_step
from depthsi.viz import colour_depth, colour_error, depth_limits

FAST = os.environ.get("DEPTHSI_FAST") == "1"  # tiny sizes, to check that everything runs
os.chdir(tempfile.mkdtemp())  # runs and files go there
plt.rcParams.update({"figure.dpi": 96, "savefig.dpi": 96, "font.size": 10, "axes.titlesize": 10})
print(depthsi.train.__doc__.split("Raises")[0].rstrip())

# %% [markdown]
# ## Your own data
#
# A source is anything with a length whose elements are pairs of image and depth, in metres.
# `names` are optional.


# %%
class Rooms:
    """Rooms of a split, as a class of your own would hold photos."""

    def __init__(self, split, count):
        self.images, self.depths = RoomsSource(split, count).arrays()
        self.names = [f"room {index}" for index in range(count)]

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return {"image": self.images[index], "depth": self.depths[index]}


train, val = Rooms("train", 8 if FAST else 96), Rooms("val", 2 if FAST else 16)
figure, axes = plt.subplots(2, 4, figsize=(11, 4.4), layout="constrained")
for index, column in enumerate(axes.T):
    sample = train[index]
    column[0].imshow(sample["image"])
    column[1].imshow(colour_depth(sample["depth"]))
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Your own network, loss, optimiser and tracker
#
# The module takes images (b, 228, 304, 3) in 0..255 and gives log metres (b, 55, 74), one value
# for every fourth pixel. It is told whether it is trained, because its `__call__` has an argument
# `train`.
#
# The loss is the scale-invariant error with a hundredth of the squared Laplacian of the error.
# Any function of log metres with one value for each image will do; where `where` is false,
# nothing may count.


# %%
class Dilated(nn.Module):
    """Dilated convolutions at the output cells, which also see where in the image they are."""

    features: int = 24

    @nn.compact
    def __call__(self, image, train=False):
        cells = image[:, 4:224:4, 4:300:4] / 128 - 1
        places = jnp.stack(
            jnp.meshgrid(*(jnp.linspace(-1, 1, n) for n in (55, 74)), indexing="ij"), -1
        )
        x = jnp.concatenate(
            [cells, jnp.broadcast_to(places, (*image.shape[:1], *places.shape))], -1
        )
        for dilation in (1, 2, 4, 8, 16):
            x = nn.relu(nn.Conv(self.features, (3, 3), kernel_dilation=dilation)(x))
        x = nn.Dropout(0.05, deterministic=not train)(x)
        return nn.Conv(1, (1, 1), name="last")(x)[..., 0] + 0.8


def smooth_errors(predictions, targets, *, where):
    d = jnp.where(where, predictions - targets, 0)
    middle = where[:, 1:-1, 1:-1] & where[:, :-2, 1:-1] & where[:, 2:, 1:-1]
    middle &= where[:, 1:-1, :-2] & where[:, 1:-1, 2:]
    bend = (
        d[:, :-2, 1:-1] + d[:, 2:, 1:-1] + d[:, 1:-1, :-2] + d[:, 1:-1, 2:] - 4 * d[:, 1:-1, 1:-1]
    )
    rough = jnp.sum(jnp.where(middle, bend, 0) ** 2, (1, 2)) / jnp.maximum(
        jnp.sum(middle, (1, 2)), 1
    )
    return depthsi.losses.scale_invariant_loss(predictions, targets, where=where) + 0.01 * rough


config = depthsi.Config(
    schedule=depthsi.config.ScheduleConfig(
        batch_size=8,
        coarse_samples=32 if FAST else 1600,
        fine_samples=0,
        log_every=2 if FAST else 10,
        eval_every=2 if FAST else 50,
        save_every=2 if FAST else 100,
    )
)
steps = config.schedule.coarse_samples // config.schedule.batch_size
optimiser = optax.adamw(optax.cosine_onecycle_schedule(steps, 5e-3), weight_decay=1e-3)

losses, scores, files = [], [], []  # a tracker
result = depthsi.train(
    config,
    run="runs/dilated",
    train=train,
    val=val,
    network=Dilated(),
    loss=smooth_errors,
    optimiser=optimiser,
    on_step=lambda step, metrics: losses.append((step, metrics["loss"])),
    on_eval=lambda step, metrics: scores.append((step, metrics["rmse_log"])),
    on_checkpoint=lambda step, directory: files.append(directory.name),
)
print("checkpoints:", ", ".join(files))

figure, axes = plt.subplots(1, 2, figsize=(9, 2.8), layout="constrained")
at, values = np.transpose(losses)
axes[0].plot(at, values, color="0.8")
axes[0].plot(at, np.cumsum(values) / np.arange(1, len(values) + 1), label="mean so far")
axes[0].set(xlabel="step", ylabel="loss")
axes[0].legend()
axes[1].plot(*np.transpose(scores), "o-")
axes[1].set(xlabel="step", ylabel="RMSE log on val")
plt.show()

# %% [markdown]
# ## Depth of an image, and what a run remembers
#
# Whoever loads the run gives the module again: files hold its parameters and its name, not its
# code, and nothing that a file names is ever imported.

# %%
try:
    depthsi.load("runs/dilated")
except depthsi.DepthsiError as error:
    print(error)
predictor = depthsi.load("runs/dilated", network=Dilated())
print(type(predictor.network.settings).__name__, predictor.network.settings.name)

image, true = val[0]["image"], val[0]["depth"]
depth = predictor(image)  # a path or a PIL image works as well, of any size
limits = depth_limits(depth, true)
figure, axes = plt.subplots(1, 4, figsize=(12, 2.6), layout="constrained")
shown = {
    "image": image,
    "predicted depth": colour_depth(depth, limits=limits),
    "true depth": colour_depth(true, limits=limits),
    "error: red too near, blue too far": colour_error(depth, true),
}
for ax, (title, picture) in zip(axes, shown.items(), strict=True):
    ax.imshow(picture)
    ax.set(title=title, xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## Scores under a named protocol
#
# The same call takes a predictor, a run, a file of weights or depth maps of another program.

# %%
for protocol in ("eigen2014_nyu", "nyu_bts"):
    found = depthsi.evaluate(predictor, val, protocol=protocol, split="val")
    numbers = found.results["custom"]["image"]
    print(
        f"{protocol:15}", {name: round(numbers[name], 3) for name in ("abs_rel", "rmse_log", "d1")}
    )
aligned = depthsi.evaluate(predictor, val, protocol="nyu_bts", alignment="median", split="val")
print("with the median:", round(aligned.results["custom"]["image"]["abs_rel"], 3))

# %% [markdown]
# ## A file for other programs
#
# An exported network is whole: it needs neither the module nor Flax.

# %%
depthsi.export(predictor, "dilated.stablehlo")
alone = depthsi.load("dilated.stablehlo")
print("largest difference in metres:", f"{np.nanmax(np.abs(alone(image) - depth)):.1e}")

# %% [markdown]
# ## Under `jit`, `vmap` and `grad`
#
# `predictor.log_depth` is the network as a pure function of arrays. Which pixels does the depth
# in the middle of the image depend on?

# %%
crops = jnp.float32(val.images[:2, 6:234, 8:312])


@jax.jit
@jax.vmap
def sensitivity(crop):
    return jax.grad(lambda x: predictor.log_depth(x[None])[0, 27, 37])(crop)


found = sensitivity(crops)
figure, axes = plt.subplots(1, 4, figsize=(12, 2.6), layout="constrained")
for index in range(2):
    axes[2 * index].imshow(np.uint8(crops[index]))
    strength = np.asarray(jnp.linalg.norm(found[index], axis=-1))[4:224:4, 4:300:4]
    axes[2 * index + 1].imshow(strength**0.25, cmap="magma")
for ax in axes:
    ax.set(xticks=[], yticks=[])
plt.show()

# %% [markdown]
# ## A module of Flax NNX
#
# `flax.nnx.bridge.to_linen` takes the class and its arguments; what comes out trains like any
# other module.


# %%
class Small(nnx.Module):
    def __init__(self, features, *, rngs):
        sizes = (3, features, features, 1)
        self.layers = nnx.List(
            [nnx.Conv(*pair, (3, 3), rngs=rngs) for pair in itertools.pairwise(sizes)]
        )

    def __call__(self, image):
        x = image[:, 4:224:4, 4:300:4] / 128 - 1
        for layer in self.layers[:-1]:
            x = nnx.relu(layer(x))
        return self.layers[-1](x)[..., 0] + 0.8


few = dataclasses.replace(
    config, schedule=dataclasses.replace(config.schedule, coarse_samples=32 if FAST else 480)
)
bridged = nnx.bridge.to_linen(Small, features=8)
second = depthsi.train(
    few, run="runs/nnx", train=train, network=bridged, optimiser=optax.adam(3e-3)
)
print(second.predictor()(image).shape, [round(row["loss"], 4) for row in second.rows[-2:]])

# %% [markdown]
# ## The loop in your own hands
#
# The step is a pure function, with augmentation inside; what surrounds it is the reader's. Here
# a loss by its settings in place of a function, on the paper's coarse network at a fraction of its
# width.

# %%
own = dataclasses.replace(
    few,
    model=depthsi.config.TwoScaleConfig(width=0.02, initialisers="scaled"),
    loss=depthsi.losses.BerhuConfig(space="log"),
)
(stage,) = make_stages(own)
adam = optax.adam(1e-3)
state = initial_state(own, stage, optimiser=adam)
step = jax.jit(make_train_step(own, stage, optimiser=adam), donate_argnums=0)
batches = training_batches(InMemory(train.images, train.depths), batch_size=8, seed=0)
seen = []
for _ in range(stage.steps):
    state, metrics = step(state, *next(batches))
    seen.append(metrics["loss"])  # still on the device: nothing waits for it
batches.close()
tenth = -(-stage.steps // 10)
first, last = (float(np.mean(jax.device_get(each))) for each in (seen[:tenth], seen[-tenth:]))
print(f"{stage.steps} steps: loss {first:.3f} in the first tenth, {last:.3f} in the last")

net = depthsi.models.make_model(own.model)
predicted = jnp.exp(net.apply({"params": state.params}, crops, output=stage.output))
truth = jnp.float32(val.depths[:2, 11:231:4, 13:309:4])  # at the centres of the output cells
numbers = depthsi.metrics.depth_metrics(predicted, truth)
for name in ("abs_rel", "rmse_log"):
    print(f"{name:8}", " ".join(f"{value:.3f}" for value in np.asarray(numbers[name])))
