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
# # Your own data, step by step
#
# Ten images with depth are written as files, looked at, trained on, evaluated, and a photo is
# predicted. The images are rendered rooms, so that nothing has to be downloaded; put your own in
# their place. Lines that start with `$` are commands as you would type them in a terminal. The
# last section makes the usual mistakes on purpose and shows what the program says about each of
# them.

# %%
import contextlib
import csv
import io
import os
import shlex
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.colors import LogNorm
from PIL import Image

import depthsi
from depthsi.cli import main
from depthsi.rooms.source import RoomsSource
from depthsi.viz import colour_depth, depth_limits

FAST = os.environ.get("DEPTHSI_FAST") == "1"  # tiny sizes, to check that everything runs
os.chdir(tempfile.mkdtemp())  # all files go there
plt.rcParams.update({"figure.dpi": 96, "savefig.dpi": 96, "font.size": 10, "axes.titlesize": 10})
CMAP = "viridis_r"  # near yellow, far blue; it can be read without telling red from green


def command(line, shown=slice(None)):
    """Runs `depthsi LINE` here and prints those lines of its output that `shown` says."""
    print(f"$ depthsi {line}")
    output = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            main(shlex.split(line))
        except SystemExit as end:
            print(f"(exit status {end.code})")
    output.seek(0)
    lines = output.read().splitlines()
    for text in lines[shown]:
        print(text if len(text) < 400 else f"{text[:400]} ...")
    if len(lines[shown]) < len(lines):
        print(f"({len(lines)} lines in all)")


# %% [markdown]
# ## 1. Write the files
#
# depthsi reads a folder with the file `index.csv`, one line for each pair of an image and its
# depth. Depth is stored here as most depth cameras store it: a 16-bit PNG in millimetres, where 0
# means that nothing was measured. The column `depth_units_per_metre` says that a metre is 1000
# units.
#
# The rooms are 1.3 times as large as those that the network `unet_rooms` of the package was
# trained on. A depth camera does not see beyond a certain distance; here that is 8 m.

# %%
images, depths = RoomsSource("train", 10, seed=5, scale_range=(1.3, 1.3)).arrays()
SPLITS = ["train"] * 4 + ["val"] * 3 + ["test"] * 3


def millimetres(depth):
    """16-bit numbers; 0 where depth is unknown."""
    return np.where(depth < 8, np.rint(depth * 1000), 0).astype(np.uint16)


def write_pairs(folder, stored=millimetres, units="1000", change=lambda rows: None):
    """The ten pairs as a folder; `change` may spoil the rows of the index."""
    folder = Path(folder)
    for name in ("rgb", "depth"):
        (folder / name).mkdir(parents=True)
    rows = []
    for k, (image, depth, split) in enumerate(zip(images, depths, SPLITS, strict=True)):
        rgb, metres = f"rgb/{k:02}.png", f"depth/{k:02}.png"
        Image.fromarray(image).save(folder / rgb)
        Image.fromarray(stored(depth)).save(folder / metres)
        rows.append([rgb, metres, split, units, f"room {k}"])
    change(rows)
    with (folder / "index.csv").open("w", newline="") as file:
        header = ["rgb", "depth", "split", "depth_units_per_metre", "scene"]
        csv.writer(file).writerows([header, *rows])


write_pairs("pairs")
print("\n".join(Path("pairs/index.csv").read_text().splitlines()[:4]), "\n...")

# %% [markdown]
# ## 2. Look before you train
#
# `depthsi info` counts the pairs of every split and prints what their depth is like. Compare the
# quantiles with what you know of the place: is half of what the camera sees nearer than 3 m?

# %%
command("info pairs --out look", slice(12))


def show_files(*files, width=11):
    """Pictures that the program wrote, one below the other."""
    pictures = [plt.imread(file) for file in files]
    heights = [picture.shape[0] / picture.shape[1] * width for picture in pictures]
    _, axes = plt.subplots(
        len(files),
        figsize=(width, sum(heights)),
        height_ratios=heights,
        layout="constrained",
        squeeze=False,
    )
    for ax, picture in zip(axes.flat, pictures, strict=True):
        ax.imshow(picture)
        ax.axis("off")
    plt.show()


show_files("look/contact_sheet.png")

# %% [markdown]
# On the contact sheet check that image and depth belong together and that depth is grey where it
# is missing, and only there. The histogram shows whether the splits see the same distances.

# %%
show_files("look/histogram.png", width=7)

# %% [markdown]
# ## 3. Train
#
# Four images are far too few to train a network from random weights, so the training begins with
# those of `unet_rooms`. With a few hundred pairs of your own, leave out the settings of the
# schedule but `--schedule.coarse-samples`, and take 20 to 50 passes over the data.

# %%
steps = 2 if FAST else 20
command(
    "train nyu --data.root pairs --run runs/tuned --model.kind unet --model.size small"
    " --init.weights unet_rooms --optim.kind adamw --optim.learning-rate 3e-4"
    f" --schedule.batch-size 4 --schedule.coarse-samples {4 * steps} --schedule.fine-samples 0"
    f" --schedule.log-every 2 --schedule.eval-every {steps // 2} --schedule.save-every {steps}"
)

# %% [markdown]
# ## 4. Evaluate
#
# `depthsi evaluate runs/tuned` prints the table with its intervals and writes it beside the run.
# The same from Python, next to the network before the training:

# %%
tuned = depthsi.evaluate("runs/tuned", split="test")
before = depthsi.evaluate("unet_rooms", "pairs", split="test")
rows = {
    "before, unet_rooms": before.results["unet"]["image"],
    "after, runs/tuned": tuned.results["unet"]["image"],
    "mean of the training depths": tuned.results["mean predictor"]["image"],
}
names = ("d1", "abs_rel", "rmse", "rmse_log", "rmse_log_si")
print(f"{'test: 3 images':28}" + "".join(f"{name:>12}" for name in names))
for row, numbers in rows.items():
    print(f"{row:28}" + "".join(f"{numbers[name]:12.3f}" for name in names))

# %% [markdown]
# `rmse_log` falls, and `rmse_log_si`, which does not count a wrong overall scale, does not: four
# images have taught the network that these rooms are larger, and little else. Three images are too
# few to say more; the intervals in the full table show how little they tell.
#
# ## 5. Predict a photo

# %%
photos, truth = RoomsSource("val", 1, scale_range=(1.3, 1.3)).arrays()
Image.fromarray(photos[0]).save("photo.jpg", quality=95)
command("predict runs/tuned photo.jpg --out out")

# %%
found = {
    "before: unet_rooms": depthsi.load("unet_rooms")("photo.jpg"),
    "after: runs/tuned": np.load("out/photo_depth.npy"),
    "true depth": truth[0],
}
limits = depth_limits(*found.values())
figure, axes = plt.subplots(1, 4, figsize=(12, 2.5), layout="constrained")
axes[0].imshow(photos[0])
axes[0].set_title("photo.jpg")
for ax, (title, depth) in zip(axes[1:], found.items(), strict=True):
    ax.imshow(colour_depth(depth, limits=limits, cmap=CMAP))
    ax.set_title(title)
for ax in axes:
    ax.set(xticks=[], yticks=[])
bar = figure.colorbar(
    plt.cm.ScalarMappable(LogNorm(*limits), CMAP), ax=axes, label="depth (m)", pad=0.01
)
marks = [m for m in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 12) if limits[0] <= m <= limits[1]]
bar.set_ticks(marks, labels=[f"{m:g}" for m in marks])
bar.minorticks_off()
plt.show()

# %% [markdown]
# ## The mistakes people make
#
# Each of the following folders has one thing wrong.
#
# **The unit is wrong.** The files hold millimetres, but the index says that they hold metres:

# %%
write_pairs("not_metres", units="1")
command("info not_metres")

# %% [markdown]
# **The unit is not given.** Where the numbers fit one usual unit only, it is assumed, and the
# program says so:

# %%
write_pairs("no_unit", units="")
command("info no_unit", slice(1))

# %% [markdown]
# **A wrong unit that is possible** cannot be seen by a program. Here the index says 5000 units per
# metre, and the rooms become doll's houses. The quantiles show it: half of all pixels would be
# nearer than 0.6 m, in rooms that one can stand in.

# %%
write_pairs("dolls_house", units="5000")
command("info dolls_house", slice(8, 10))

# %% [markdown]
# **Missing depth is not 0.** The greatest number that a file can hold is recognised, and the
# program says so at the end:


# %%
def with_mark(mark):
    """Millimetres, with `mark` where depth is unknown."""
    return lambda depth: np.where(depth < 8, np.rint(depth * 1000), mark).astype(np.uint16)


write_pairs("mark_65535", with_mark(65535))
command("info mark_65535", slice(-3, None))

# %% [markdown]
# Any other mark could be a depth. A heap of pixels at the greatest one is spoken of, and the
# training takes `--data.missing` or `--data.max-depth`:

# %%
write_pairs("mark_12000", with_mark(12000))
command("info mark_12000", slice(-3, None))

# %% [markdown]
# **Eight bits are too few.** Pictures of depth, for looking at, are no depth:

# %%
write_pairs("eight_bits", lambda depth: np.uint8(np.clip(depth * 25, 0, 255)), units="25")
command("info eight_bits")

# %% [markdown]
# **Files are missing, listed twice, or in two splits.** Images of one room in both `train` and
# `test` make every number look better than it is, which is why the column `scene` is worth filling
# in:


# %%
def set_cell(row, column, value):
    def change(rows):
        rows[row][column] = value

    return change


write_pairs("no_file", change=set_cell(2, 1, "depth/99.png"))
write_pairs("twice", change=set_cell(2, 0, "rgb/00.png"))
write_pairs("two_splits", change=set_cell(9, 4, "room 0"))
for folder in ("no_file", "twice", "two_splits"):
    command(f"info {folder}")

# %% [markdown]
# **Image and depth do not belong together.** If one frame was dropped, every pair after it is
# shifted. All files exist and all depths are possible, so `info` finds nothing. The contact sheet
# shows it, and so does any trained network: its error without the overall scale is far above what
# it is for true pairs.


# %%
def shift_test(rows):
    """Gives the images of the split test the depth of the next one."""
    files = [row[1] for row in rows[7:]]
    for row, file in zip(rows[7:], [*files[1:], files[0]], strict=True):
        row[1] = file


write_pairs("shifted", change=shift_test)
shifted = depthsi.evaluate("unet_rooms", "shifted", split="test")
for title, each in (("right pairs", before), ("shifted by one", shifted)):
    errors = each.scores["unet"].per_image()["rmse_log_si"]
    print(f"{title:16}", " ".join(f"{error:.3f}" for error in errors))

# %% [markdown]
# **Distance along the ray, or disparity, in place of depth** cannot be seen by a program either.
# What is needed is the distance along the optical axis: a wall that faces the camera has one depth
# everywhere. For a pixel at the offset (x, y) from the centre of the image, and a focal length f
# in pixels, depth is the distance along the ray divided by sqrt(1 + (x² + y²) / f²).
