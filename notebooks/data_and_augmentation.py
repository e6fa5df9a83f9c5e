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
# # Data and augmentation, drawn step by step
#
# Images with depth come from a source, are changed at random for the training, and are cut and
# masked for the evaluation. This notebook draws each of these steps. Nothing is trained, nothing
# is downloaded: the images are rendered rooms.

# %%
import functools
import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.patches import Rectangle
from PIL import Image

from depthsi.augment import Batch, View, apply_view, augment
from depthsi.augment.appearance import (
    adjust_contrast,
    adjust_gamma,
    adjust_saturation,
    blur,
    compress_jpeg,
    vary_appearance,
)
from depthsi.augment.regions import vary_regions
from depthsi.config import AugmentConfig, Folder, Rooms
from depthsi.data import InMemory, given_source, training_batches
from depthsi.geometry import crop, nyu
from depthsi.metrics import PROTOCOLS, depth_metrics, valid_pixels
from depthsi.viz import colour_depth, depth_limits

FAST = os.environ.get("DEPTHSI_FAST") == "1"  # tiny sizes, to check that everything runs
os.chdir(tempfile.mkdtemp())  # files go there
plt.rcParams.update({"figure.dpi": 96, "savefig.dpi": 96, "font.size": 10, "axes.titlesize": 10})
CMAP = "viridis_r"  # near yellow, far blue; it can be read without telling red from green

# %% [markdown]
# ## Sources
#
# A source has a length, and its elements are samples: an image (uint8, RGB) and its depth
# (float32, metres along the optical axis). There are three kinds, and the training takes all of
# them alike.

# %%
rooms = Rooms(train=8 if FAST else 48).open("train")  # rendered when they are asked for

Path("pairs/rgb").mkdir(parents=True)  # a folder of files, of which one pair is enough here
Path("pairs/depth").mkdir()
Image.fromarray(rooms[0].image).save("pairs/rgb/hall.png")
Image.fromarray(np.uint16(np.rint(1000 * rooms[0].depth))).save("pairs/depth/hall.png")
Path("pairs/index.csv").write_text(
    "rgb,depth,split,depth_units_per_metre\nrgb/hall.png,depth/hall.png,train,1000\n"
)
folder = Folder(root="pairs").open("train")

pairs = [(rooms[k].image, rooms[k].depth) for k in range(2)]  # anything with a length will do
own = given_source(pairs, "train")

for source in (rooms, folder, own):
    sample = source[0]
    print(
        f"{type(source).__name__:13} length {len(source):2}, first {sample.name!r}:"
        f" image {sample.image.dtype} {sample.image.shape},"
        f" depth {sample.depth.dtype} {sample.depth.min():.4f} to {sample.depth.max():.4f} m"
    )

# %% [markdown]
# The files of the folder hold whole millimetres, and so its depth is rounded to them.
#
# ## One sample, and where its depth is valid
#
# In every source, 0, negative numbers, NaN and infinity mean that depth is missing. Depth cameras
# leave holes at edges, on dark or shiny surfaces and beyond their range. The room is given such
# holes here, so that they can be followed through all that comes.

# %%
images, true = rooms.arrays()
image, depth = images[2], true[2].copy()
rows, columns = np.indices(depth.shape)
jump = np.abs(np.diff(np.log(depth), axis=1, prepend=np.log(depth[:, :1]))) > 0.1
depth[jump | np.roll(jump, 1, axis=1)] = 0  # beside edges
depth[(rows - 120) ** 2 + (columns - 70) ** 2 < 22**2] = np.nan  # a mirror
depth[depth > np.nanquantile(depth, 0.97)] = np.inf  # out of range
valid = np.asarray(valid_pixels(depth))
limits = depth_limits(depth)


def bare(ax, title=""):
    ax.set(xticks=[], yticks=[], title=title)


def depth_bar(figure, axes, limits, **options):
    """The colours of depth; they run with its logarithm."""
    scale = plt.cm.ScalarMappable(LogNorm(*limits), CMAP)
    bar = figure.colorbar(scale, ax=axes, label="depth (m)", pad=0.01, **options)
    marks = [m for m in (0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12) if limits[0] <= m <= limits[1]]
    bar.set_ticks(marks, labels=[f"{m:g}" for m in marks])
    bar.minorticks_off()


figure, axes = plt.subplots(1, 3, figsize=(11, 2.8), layout="constrained")
axes[0].imshow(image)
axes[1].imshow(colour_depth(depth, limits=limits, cmap=CMAP))
axes[2].imshow(valid, cmap="gray", vmin=0, vmax=1)
bare(axes[0], "image")
bare(axes[1], "depth; grey: missing")
bare(axes[2], f"valid (white): {valid.mean():.1%} of the pixels")
depth_bar(figure, axes[:2], limits)
plt.show()

# %% [markdown]
# ## The paper's augmentation, one change at a time
#
# The network sees 228x304 pixels of the 240x320 and predicts 55x74 cells, one for every fourth
# pixel. All of the paper's changes are one affine map from the sample to that input; a `View`
# holds its numbers. Where the image is enlarged by s, its depth is divided by s: walking s times
# nearer makes everything appear s times as large, but the same camera saw it all along.


# %%
@jax.jit
def seen(view, image, depth):
    return apply_view(view, image, depth, nyu())


def view(scale=1.0, angle=0.0, shift=(0.0, 0.0), mirror=False, colour=(1.0, 1.0, 1.0), cut=0.0):
    """A view of the middle of the image, but for what is given."""
    return View(
        jnp.float32(scale),
        jnp.deg2rad(jnp.float32(angle)),
        jnp.float32(shift),
        jnp.bool_(mirror),
        jnp.float32(colour),
        jnp.float32(cut),
    )


def metres(batch):
    return np.where(batch.valid, np.exp(batch.log_depth), 0)


def pixels(picture):
    return np.uint8(np.clip(picture, 0, 255))


views = {
    "unchanged: the middle": view(),
    "scale s = 1.5": view(scale=1.5),
    "rotation by 5 degrees": view(angle=5),
    "crop: 6 rows and 8 columns on": view(shift=(6.0, 8.0)),
    "flip": view(mirror=True),
    "colour: red 1.2, blue 0.8": view(colour=(1.2, 1.0, 0.8)),
}
figure, axes = plt.subplots(2, len(views), figsize=(14, 3.7), layout="constrained")
for (title, each), column in zip(views.items(), axes.T, strict=True):
    batch = seen(each, image, depth)
    column[0].imshow(pixels(batch.image))
    column[1].imshow(colour_depth(metres(batch), limits=limits, cmap=CMAP))
    bare(column[0], title)
    bare(column[1], f"in the middle: {metres(batch)[27, 37]:.2f} m")
depth_bar(figure, axes[1], limits)
plt.show()

# %% [markdown]
# Under `scale` every depth is divided by 1.5, that of the wall in the middle as well. Depth is
# read from the nearest pixel and never averaged, so that the holes keep their edges; what a
# rotation brings in from outside of the image is missing.
#
# In training all of it is drawn at random, anew for each sample and step. The following are eight
# views of one room, drawn with the settings of the paper.

# %%
paper = AugmentConfig()
print(f"scale {paper.scale}, rotation up to {paper.rotation} degrees either way")
print(f"colour {paper.colour}, flip with probability {paper.flip}")
draw = jax.jit(functools.partial(augment, config=paper, sizes=nyu()))
many = 8
batch = draw(
    jax.random.split(jax.random.key(1), many),
    jnp.asarray(np.stack([image] * many)),
    jnp.asarray(np.stack([depth] * many)),
)
figure, axes = plt.subplots(2, many, figsize=(14, 2.8), layout="constrained")
for k, column in enumerate(axes.T):
    each = Batch(*(np.asarray(values)[k] for values in batch))
    column[0].imshow(pixels(each.image))
    column[1].imshow(colour_depth(metres(each), limits=limits, cmap=CMAP))
    bare(column[0])
    bare(column[1])
depth_bar(figure, axes[1], limits)
plt.show()

# %% [markdown]
# ## The additional changes
#
# These are off unless asked for with `--augment.contrast` and its like, and help where images are
# few. All but `cut_flip` leave depth as it is. The strengths below are greater than one would
# train with, in order to be seen; in training each is drawn from a range.


# %%
@jax.jit
def changed(key, batch):
    image, sizes = batch.image, nyu()
    return (
        adjust_contrast(image, 1.5),
        adjust_saturation(image, 0.3),
        adjust_gamma(image, 1.8),
        blur(image, 2.0, 2.0),
        vary_appearance(jax.random.key(3), image, AugmentConfig(noise=40.0)),
        compress_jpeg(image, 8.0),
        vary_regions(key, batch, AugmentConfig(erase=1.0), sizes),
        vary_regions(key, batch, AugmentConfig(cut_depth=1.0), sizes),
    )


titles = ("contrast 1.5", "saturation 0.3", "gamma 1.8", "blur 2 pixels", "noise up to 40")
titles += ("jpeg_quality 8", "erase", "cut_depth")
plain = seen(view(), image, depth)
pictures = {"unchanged": plain.image}
pictures |= dict(zip(titles, changed(jax.random.key(26), plain), strict=True))
cut = seen(view(cut=90.0), image, depth)
figure, axes = plt.subplots(2, 6, figsize=(14, 3.9), layout="constrained")
for ax, (title, picture) in zip(axes.flat, pictures.items(), strict=False):
    ax.imshow(pixels(picture))
    bare(ax, title)
axes[1, 3].imshow(pixels(cut.image))
bare(axes[1, 3], "cut_flip at row 90")
axes[1, 4].imshow(colour_depth(metres(cut), limits=limits, cmap=CMAP))
bare(axes[1, 4], "its depth, cut alike")
axes[1, 5].axis("off")
plt.show()

# %% [markdown]
# * `erase` paints a rectangle in the mean colour of the image; its depth stays to be predicted.
# * `cut_depth` shows the true depth, where it is known, as grey values in a rectangle: 0.5 m is
#   black, 20 m is white.
# * `cut_flip` exchanges the two parts of image and depth above and below a row, so that a network
#   cannot rely on what is usually below.
#
# ## What the data are like
#
# Depth spans a wide range, and the networks and losses work with its logarithm. The histogram and
# the mean over all rooms of log depth at each pixel are worth a look for every data set: the
# second is what a predictor does that has never seen the image. It is in each table of an
# evaluation of a run, as "mean predictor".

# %%
logs = np.log(true)
mean_map = np.exp(logs.mean(axis=0))
figure, axes = plt.subplots(1, 2, figsize=(10, 2.9), layout="constrained")
axes[0].hist(logs.ravel(), bins=60, weights=np.full(logs.size, 100 / logs.size), color="tab:blue")
axes[0].axvline(logs.mean(), color="black", ls="--", label=f"mean {logs.mean():.2f}")
marks = (0.5, 1, 2, 4, 8)
top = axes[0].secondary_xaxis("top")  # the same places, in metres
top.set_xticks(np.log(marks), labels=[f"{mark:g}" for mark in marks])
top.set_xlabel("depth (m)")
axes[0].set(xlabel="log depth (log m)", ylabel="pixels (%)")
axes[0].legend(frameon=False)
shown = depth_limits(mean_map)
axes[1].imshow(colour_depth(mean_map, limits=shown, cmap=CMAP))
bare(axes[1], f"mean over {len(true)} rooms: exp of the mean log depth")
depth_bar(figure, axes[1], shown)
plt.show()
print(f"log depth: mean {logs.mean():.3f}, standard deviation {logs.std():.3f}")

# %% [markdown]
# Floors make the lower part of the mean map near, and walls its middle far. The mean of log depth
# is what the setting `model.log_mean` wants to know.
#
# ## Balanced sampling of scenes
#
# Videos have thousands of frames of one room and few of another. The paper evens its scenes to
# 1200 images each in one pass over the data. `--data.even-scenes N` does this with N: of a larger
# scene a new random choice in each pass, of a smaller one every image several times. The samples
# below are numbers in place of images; their scene is all that matters.

# %%
sizes = {"kitchen": 60, "hall": 12, "office": 3}
scenes = [name for name, count in sizes.items() for _ in range(count)]
numbers = np.arange(len(scenes), dtype=np.float32) + 1  # in place of depth
few = InMemory(np.zeros((len(scenes), 1, 1, 3), np.uint8), numbers[:, None, None], scenes)


def shares(even_scenes, count=120):
    """Per cent of the first samples of a training that each scene has."""
    batches = training_batches(few, batch_size=12, seed=0, even_scenes=even_scenes)
    drawn = np.concatenate([next(batches)[1].ravel() for _ in range(count // 12)])
    batches.close()
    of = [scenes[int(number) - 1] for number in drawn]
    return [100 * of.count(name) / count for name in sizes]


figure, ax = plt.subplots(figsize=(6.5, 2.6), layout="constrained")
for offset, even in ((-0.2, 0), (0.2, 8)):
    label = f"8 of each scene in a pass (data.even_scenes {even})" if even else "each image once"
    ax.bar(np.arange(len(sizes)) + offset, shares(even), 0.38, label=label)
ax.set_xticks(range(len(sizes)), labels=[f"{name}: {n} images" for name, n in sizes.items()])
ax.set(ylabel="share of the samples (%)", ylim=(0, 100))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## What an evaluation does to the truth
#
# An evaluation changes nothing in the images, but it does not count all of their pixels. The
# protocol has a crop, the network covers a part of the image, caps leave out what is too near or
# too far, and missing depth never counts.

# %%
geometry = nyu()
size = geometry.image
top, left = ((n - m) // 2 for n, m in zip(size, geometry.input, strict=True))
boxes = {
    "what the network sees": (top, top + geometry.input[0], left, left + geometry.input[1]),
    "what it predicts, crop eigen2014_nyu": geometry.region,
    "crop of nyu_bts": crop(PROTOCOLS["nyu_bts"].crop, size),
}
figure, ax = plt.subplots(figsize=(8.5, 3.6), layout="constrained")
ax.imshow(colour_depth(depth, limits=limits, cmap=CMAP))
styles = (("white", "-"), ("black", "-"), ("#d55e00", "--"))
for (title, (y0, y1, x0, x1)), (colour, line) in zip(boxes.items(), styles, strict=True):
    place = (x0 - 0.5, y0 - 0.5), x1 - x0, y1 - y0
    ax.add_patch(Rectangle(*place, fill=False, ec=colour, ls=line, lw=2, label=title))
ax.legend(loc="center left", bbox_to_anchor=(1.02, 0.5), facecolor="0.75", framealpha=1)
bare(ax, "true depth; grey: missing")
plt.show()

for name in ("eigen2014_nyu", "nyu_bts"):
    rules = PROTOCOLS[name]
    y0, y1, x0, x1 = crop(rules.crop, size)
    inside = np.zeros(size, bool)
    inside[y0:y1, x0:x1] = True
    far = rules.max_depth
    counted = np.asarray(valid_pixels(depth, where=inside & (depth < far)))
    print(f"{name:14} the crop holds {inside.mean():.1%} of the pixels, {counted.mean():.1%} count")

# %% [markdown]
# What stands at a missing pixel does not matter: the same numbers come out with 0, NaN, infinity
# or -1 there. A prediction is needed at every pixel that counts, and none elsewhere.

# %%
predicted = np.where(valid, 1.1 * true[2], np.nan)
for mark in (0, np.nan, np.inf, -1):
    numbers = depth_metrics(predicted, np.where(valid, true[2], mark))
    print(f"missing is {mark:4}: ", {n: round(float(numbers[n]), 4) for n in ("abs_rel", "rmse")})
