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
# # Explore a run
#
# A run is a directory: settings, a log of metrics, checkpoints, and the weights at the end. This
# notebook opens one and looks at all of it: how the training went, how good the network is beside
# what knows less, where it errs and why, and what a checkpoint holds. Set `RUN` to a run of your
# own and leave out the first section, and the rest works as it is.

# %%
import contextlib
import io
import json
import os
import tempfile
from itertools import pairwise
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from flax.traverse_util import flatten_dict
from matplotlib.colors import LogNorm

import depthsi
from depthsi.config import AdamWConfig, Config, InitConfig, Rooms, ScheduleConfig
from depthsi.evaluation.error_split import error_shares, split_error
from depthsi.presets import nyu
from depthsi.runs import RunDirectory
from depthsi.viz import colour_depth, colour_error, depth_limits, error_limit
from depthsi.viz.point_cloud import point_cloud

FAST = os.environ.get("DEPTHSI_FAST") == "1"  # tiny sizes, to check that everything runs
os.chdir(tempfile.mkdtemp())  # the run goes there
plt.rcParams.update({"figure.dpi": 96, "savefig.dpi": 96, "font.size": 10, "axes.titlesize": 10})
CMAP = "viridis_r"  # near yellow, far blue; it can be read without telling red from green
RUN = "runs/larger_rooms"

# %% [markdown]
# ## A run to look at
#
# The network `unet_rooms` of the package has learned depth from rendered rooms. Here it meets
# rooms that are larger by the factor 1.3 as a whole, and is trained on a few of them. An image
# does not change when its room and camera are enlarged together, so that nothing in the image says
# that depths are larger now; all there is to learn is the new scale.

# %%
steps = 2 if FAST else 12
start = depthsi.load("unet_rooms").network
config = Config(
    data=Rooms(train=4 if FAST else 16, val=3, test=3 if FAST else 9, scale_range=(1.3, 1.3)),
    model=start.settings,
    init=InitConfig(weights="unet_rooms"),
    loss=nyu().loss,
    optim=AdamWConfig(learning_rate=3e-4),
    schedule=ScheduleConfig(
        batch_size=4,
        coarse_samples=4 * steps,
        fine_samples=0,
        log_every=1,
        eval_every=steps // 2 if FAST else 4,
        save_every=steps // 2,
    ),
)
log = io.StringIO()
with contextlib.redirect_stdout(log):
    depthsi.train(config, run=RUN)
for line in log.getvalue().splitlines():
    print(line if len(line) < 100 else f"{line[:90]} ...")
print("\n".join(sorted(path.as_posix() for path in Path(RUN).iterdir() if path.name[0] != ".")))

# %% [markdown]
# ## Settings
#
# `config.json` holds every setting of the run, and `depthsi train --config FILE` starts another
# one from it. From Python it is a `depthsi.Config` again.

# %%
run = RunDirectory(RUN)
settings = run.config()
assert settings == config
for part in ("data", "model", "loss", "optim", "schedule"):
    print(part, json.dumps(json.loads(Path(RUN, "config.json").read_text())[part], indent=2))

# %% [markdown]
# ## Learning curves
#
# `metrics.jsonl` has one line for each logged step and each evaluation on the split `val`. The loss
# is that of augmented images and moves from batch to batch; what counts is `val`. Twelve steps and
# three images of `val` make rough curves: they show how to look, and allow no conclusion. Here
# `rmse_log` does not fall, although the nine images of `test` below come out better than before.

# %%
rows = run.rows()
train = [row for row in rows if row["split"] == "train"]
val = [row for row in rows if row["split"] == "val"]
figure, axes = plt.subplots(1, 3, figsize=(12, 2.8), layout="constrained")
axes[0].plot([row["step"] for row in train], [row["loss"] for row in train], color="0.4")
axes[0].set(title="training loss", ylabel="scale-invariant error")
for name, style in (("rmse_log", "o-"), ("rmse_log_si", "s--")):
    axes[1].plot([row["step"] for row in val], [row[name] for row in val], style, label=name)
axes[1].set(title="split val", ylabel="error (log m)", xticks=[row["step"] for row in val])
axes[1].legend(frameon=False)
axes[2].plot([row["step"] for row in train], [row["gradient_norm"] for row in train], color="0.4")
axes[2].set(title="norm of the gradient", ylabel="norm")
for ax in axes:
    ax.set(xlabel="step", ylim=(0, 1.08 * ax.get_ylim()[1]))
plt.show()

# %% [markdown]
# ## Metrics beside what knows less
#
# `depthsi.evaluate` scores the network on the split `test`. Below it stand what it would reach if
# someone told it the true scale of each image, the mean of the training depths at each pixel, and
# one constant. The lines "from" and "to" are the ends of 95 % intervals over images. The network
# as it was before the training takes a second call.

# %%
after = depthsi.evaluate(RUN, split="test")
before = depthsi.evaluate("unet_rooms", RUN, split="test")
print(after.notes, after.table("image"), sep="\n\n")

# %%
lines = {"before: unet_rooms": (before, "unet"), "the run": (after, "unet")}
lines |= {name: (after, name) for name in ("oracle scale", "mean predictor", "constant")}
figure, axes = plt.subplots(1, 3, figsize=(11, 2.6), sharey=True, layout="constrained")
labels = {"rmse_log": "RMSE log (log m)", "rmse_log_si": "RMSE log SI (log m)", "d1": "d < 1.25"}
for ax, (metric, label) in zip(axes, labels.items(), strict=True):
    for place, (found, name) in enumerate(lines.values()):
        value = found.results[name]["image"][metric]
        low, high = found.intervals[name]["image"][metric]
        ends = [[value - low], [high - value]]
        ax.errorbar(
            [value], [place], xerr=ends, fmt="o", capsize=4, color="C0" if place < 2 else "0.4"
        )
    ax.set(xlabel=label + (": higher is better" if metric == "d1" else ": lower is better"))
    ax.grid(axis="x", color="0.9")
axes[0].set_yticks(range(len(lines)), labels=list(lines))
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# The training has lowered the error with the scale (left), and that without it (middle) has grown a
# little. The intervals overlap widely: nine images do not tell the two networks apart.
#
# ## Worst and best images
#
# `scores` keeps the numbers of each image, and `compared_image` gives an image, the prediction and
# the truth as they were compared. All depths below share one colour scale and all errors another.

# %%
errors = after.scores[after.main].per_image()["rmse_log"]
order = np.argsort(errors)[::-1]  # worst first
compared = [after.compared_image(index) for index in range(len(errors))]
chosen = {"worst": order[0], "second worst": order[1], "best": order[-1]}
limits = depth_limits(*(each.true for each in compared))
limit = max(error_limit(compared[k].predicted, compared[k].true) for k in chosen.values())


def depth_bar(figure, axes, limits):
    """The colours of depth; they run with its logarithm."""
    scale = plt.cm.ScalarMappable(LogNorm(*limits), CMAP)
    bar = figure.colorbar(scale, ax=axes, label="depth (m)", pad=0.01, aspect=40)
    marks = [m for m in (0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12) if limits[0] <= m <= limits[1]]
    bar.set_ticks(marks, labels=[f"{m:g}" for m in marks])
    bar.minorticks_off()


figure, axes = plt.subplots(len(chosen), 4, figsize=(12, 6), layout="constrained")
for (kind, index), line in zip(chosen.items(), axes, strict=True):
    picture, predicted, true = compared[index]
    line[0].imshow(picture)
    line[1].imshow(colour_depth(true, limits=limits, cmap=CMAP))
    line[2].imshow(colour_depth(predicted, limits=limits, cmap=CMAP))
    line[3].imshow(colour_error(predicted, true, limit=limit))
    line[0].set_ylabel(f"{kind}\nRMSE log {errors[index]:.3f}")
for ax, title in zip(axes[0], ("image", "true depth", "prediction", "log error"), strict=True):
    ax.set_title(title)
for ax in axes.flat:
    ax.set(xticks=[], yticks=[])
depth_bar(figure, axes[:, :3], limits)
scale = plt.cm.ScalarMappable(plt.Normalize(-limit, limit), "RdBu")
figure.colorbar(
    scale, ax=axes[:, 3], label="ln(predicted / true): red too near, blue too far", aspect=40
)
plt.show()

# %% [markdown]
# ## Predicted against true depth, and the error by distance
#
# A network that is unsure predicts what is usual: what is near is predicted too far, and what is
# far too near. Then the cloud of pixels on the left is flatter than the diagonal.

# %%
true = np.concatenate([each.true.ravel() for each in compared])
predicted = np.concatenate([each.predicted.ravel() for each in compared])
counted = np.isfinite(true) & (true > 0)
true, predicted = true[counted], predicted[counted]
log_error = np.log(predicted / true)

figure, axes = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
edges = np.geomspace(*np.quantile(np.r_[true, predicted], (0.001, 0.999)), 60)
mesh = axes[0].hist2d(true, predicted, bins=(edges, edges), norm=LogNorm(), cmap="cividis")[3]
axes[0].plot(edges[[0, -1]], edges[[0, -1]], color="black", lw=1)
axes[0].set(xscale="log", yscale="log", xlabel="true depth (m)", ylabel="predicted depth (m)")
marks = [m for m in (1, 2, 4, 8, 16) if edges[0] <= m <= edges[-1]]
for axis in (axes[0].xaxis, axes[0].yaxis):
    axis.set_ticks(marks, labels=[f"{m:g}" for m in marks])
    axis.set_tick_params(which="minor", labelbottom=False, labelleft=False)
axes[0].set_aspect("equal")
figure.colorbar(mesh, ax=axes[0], label="pixels")

borders = np.quantile(true, np.linspace(0, 1, 7))  # as many pixels between each two
which = np.clip(np.searchsorted(borders, true, "right") - 1, 0, 5)
names = [f"{low:.1f} to {high:.1f}" for low, high in pairwise(borders)]
rms = [np.sqrt(np.mean(log_error[which == k] ** 2)) for k in range(6)]
bias = [np.mean(log_error[which == k]) for k in range(6)]
axes[1].bar(names, rms, color="0.75", label="RMSE log")
axes[1].plot(names, bias, "o-", color="C0", label="mean log error; over 0: too far")
axes[1].axhline(0, color="black", lw=0.8)
axes[1].set(xlabel="true depth (m), a sixth of the pixels each", ylabel="log m")
axes[1].tick_params(axis="x", labelsize=8)
axes[1].legend(frameon=False)
plt.show()

# %% [markdown]
# ## The error by cause
#
# The squared log error of an image is the sum of three parts: what one factor for the whole image
# would remove (scale), what one factor for each block of it would remove beyond that (layout), and
# the rest (detail).

# %%
figure, ax = plt.subplots(figsize=(8.5, 2.2), layout="constrained")
colours = {"scale": "#0072b2", "layout": "#e69f00", "detail": "0.6"}
for name, found in (("before: unet_rooms", before), ("the run", after)):
    each = [found.compared_image(index) for index in range(len(found.names))]
    maps, truth = (
        np.stack([getattr(one, which) for one in each]) for which in ("predicted", "true")
    )
    parts = split_error(maps, truth, np.isfinite(truth) & (truth > 0))
    left = 0.0
    for cause, colour in colours.items():
        mean = float(np.mean(getattr(parts, cause)))
        ax.barh(name, mean, left=left, color=colour, label=cause if found is before else None)
        left += mean
    shares = error_shares(parts)
    print(
        f"{name:20}", *(f"{cause} {share.value:.0%}" for cause, share in shares.items()), sep="  "
    )
ax.invert_yaxis()
ax.set(xlabel="mean squared log error (log² m)")
ax.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# ## Points in space
#
# With the focal length, each pixel becomes a point. Seen from above, flat walls show whether the
# layout is right better than any map of colours does. `depthsi predict RUN photo.jpg --save
# ply,viewer` writes the points as a file, and a page to turn them.

# %%
best = settings.data.open("test")[int(order[-1])]
predictor = depthsi.load(RUN)
focal = predictor.sizes.focal_length(best.depth.shape)
figure, axes = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")
axes[0].imshow(best.image)
axes[0].set(xticks=[], yticks=[], title=f"image: {best.name}")
for ax, (title, depth) in zip(
    axes[1:], {"predicted": predictor(best.image), "true": best.depth}.items(), strict=True
):
    cloud = point_cloud(depth, best.image, focal)
    x, y, z = cloud.positions[::3].T
    ax.scatter(x, z, s=1, c=cloud.colours[::3] / 255)
    ax.set(
        title=f"{title}, from above", xlabel="to the right (m)", ylabel="away from the camera (m)"
    )
    ax.set_aspect("equal")
    ax.grid(color="0.9")
axes[2].sharex(axes[1])
axes[2].sharey(axes[1])
plt.show()

# %% [markdown]
# ## What a checkpoint holds
#
# A checkpoint has all that it takes to go on exactly: `params` are the parameters, `progress` is
# the state of the optimiser and of the training. The newest ones are kept, at the end of each stage
# and every `save_every` steps, and the one that was best on `val`. `depthsi.load` takes the network
# out of the newest, the best, or one of a certain step; `weights.safetensors` is the network of the
# last step alone, in one file.

# %%
for step in sorted(int(path.name) for path in Path(RUN, "checkpoints").iterdir()):
    inside = sorted(
        path.name for path in Path(RUN, "checkpoints", str(step)).iterdir() if path.is_dir()
    )
    network = depthsi.load(RUN, checkpoint=step).network
    print(f"step {network.step}: {', '.join(inside)}; outputs {', '.join(network.outputs)}")
weights = Path(RUN, "weights.safetensors")
network = depthsi.read_network(weights)
arrays = flatten_dict(network.params, sep="/")
print(f"{weights}: {len(arrays)} arrays, {sum(a.size for a in arrays.values()):,} numbers")

# %% [markdown]
# Beside the weights that the training began with, the parameters show what it has changed.

# %%
first = flatten_dict(start.params, sep="/")
kernels = [name for name in arrays if name.endswith("kernel")]
change = [np.linalg.norm(arrays[n] - first[n]) / np.linalg.norm(first[n]) for n in kernels]
figure, ax = plt.subplots(figsize=(11, 2.8), layout="constrained")
short = [name.removeprefix("unet/").removesuffix("/kernel") for name in kernels]
ax.bar(short, 100 * np.array(change), color="C0")
ax.set(title="change of each kernel", ylabel="% of its norm")
ax.tick_params(axis="x", rotation=60, labelsize=8)
plt.show()
