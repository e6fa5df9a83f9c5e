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
# # The scale-invariant error: where the second term comes from, and what "direction" means
#
# Eigen, Puhrsch and Fergus (2014) train a network to predict depth from one picture with
#
# $$L = \frac1n\sum_i d_i^2 - \frac{\lambda}{n^2}\Big(\sum_i d_i\Big)^2, \qquad
#   d_i = \log y_i - \log y_i^*,$$
#
# where $y_i$ is the predicted and $y_i^*$ the true depth of pixel $i$, in metres. The first term is
# an ordinary mean square error. Two questions stop most readers at the second one: where does it
# come from, and what is the *direction* that the paper says it rewards? This notebook answers
# both, on rooms with known depth and with the losses of `depthsi.losses`.
#
# One convention helps throughout. Everything is measured in **log metres**: $d_i = 0.1$ means
# predicted too far by the factor $e^{0.1}\approx 1.105$, $d_i=-0.1$ too near by the same factor.
# Multiplying every predicted depth by one factor adds one number to every $d_i$.

# %%
import math
import os
import time

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from matplotlib.colors import ListedColormap, LogNorm

from depthsi.losses import (
    optimal_log_scale,
    scale_invariant_alpha,
    scale_invariant_centred,
    scale_invariant_closed,
    scale_invariant_loss,
    scale_invariant_pairwise,
)
from depthsi.metrics import depth_metrics
from depthsi.rooms.source import RoomsSource, room, room_key
from depthsi.viz.depth_maps import colour_depth, depth_limits

FAST = os.environ.get("DEPTHSI_FAST") == "1"  # tiny sizes, to check that everything runs
plt.rcParams.update({"figure.dpi": 96, "savefig.dpi": 96, "font.size": 10, "axes.titlesize": 10})

# %% [markdown]
# ## A room and a wrong prediction
#
# The room is computed, so its depth is known exactly at every pixel. The prediction is made wrong
# in three ways at once: blurred, tilted (too near on the left, too far on the right) and on the
# whole 15 % too far.

# %%
pictures, depths = RoomsSource("val", 3).arrays()
picture, true = pictures[2], jnp.log(depths[2])  # RGB 0..255; log metres
height, width = true.shape


def blur(log_depth, cell=20):
    """Averages over cells of `cell` pixels, joined smoothly."""
    coarse = jax.image.resize(log_depth, (height // cell, width // cell), "linear")
    return jax.image.resize(coarse, log_depth.shape, "cubic")


ramp = jnp.broadcast_to(jnp.linspace(-1, 1, width), true.shape)
wrong = blur(true) + 0.3 * ramp + math.log(1.15)
d = wrong - true

limits = depth_limits(np.exp(true), np.exp(wrong))


def show(ax, values, title, **options):
    ax.set(xticks=[], yticks=[], title=title)
    return ax.imshow(values, **options)


def show_depth(ax, log_depth, title):
    show(ax, colour_depth(np.exp(log_depth), limits=limits), title)


def depth_bar(figure, axes):
    """The colours of `show_depth`; they run with log depth."""
    near, far = limits
    marks = [m for m in (0.5, 0.7, 1, 1.5, 2, 3, 4, 6, 8, 12) if near <= m <= far]
    scale = plt.cm.ScalarMappable(LogNorm(near, far), "turbo_r")
    bar = figure.colorbar(scale, ax=axes, label="depth (m)", shrink=0.8)
    bar.set_ticks(marks, labels=[f"{m:g}" for m in marks])
    bar.minorticks_off()


figure, axes = plt.subplots(1, 3, figsize=(11, 2.9), layout="constrained")
show(axes[0], picture, "picture")
show_depth(axes[1], true, "true depth")
show_depth(axes[2], wrong, "prediction: blurred, tilted, too far")
depth_bar(figure, axes)
plt.show()

# %% [markdown]
# ## 1. Where the second term comes from: the best single scale
#
# From a picture alone one cannot tell a room from a doll's house of the same shape. So let us
# forgive the prediction its overall scale: before measuring the error, multiply all predicted
# depths by the one factor $e^\alpha$ that suits them best. In log space that adds $\alpha$ to every
# $d_i$:
#
# $$D = \min_\alpha \frac1n\sum_i (d_i+\alpha)^2.$$
#
# Setting the derivative $\frac2n\sum_i(d_i+\alpha)$ to zero gives $\alpha=-\frac1n\sum_i d_i$: the
# best scale undoes the mean log error. Putting it back in,
#
# $$D = \frac1n\sum_i \big(d_i-\bar d\,\big)^2 = \frac1n\sum_i d_i^2-\bar d^{\,2}
#     = \frac1n\sum_i d_i^2-\frac1{n^2}\Big(\sum_i d_i\Big)^2,
#     \qquad \bar d=\frac1n\sum_i d_i .$$
#
# **That is the strange term.** It is not an extra reward somebody invented; it is what remains of
# the forgiven scale, the rule "variance = mean of squares minus square of the mean".

# %%
alpha = float(optimal_log_scale(wrong, true))
plain = float(scale_invariant_loss(wrong, true, lam=0.0))
best = float(scale_invariant_alpha(wrong, true))
print(f"mean log error  mean(d) = {float(d.mean()):+.4f} log metres")
print(f"best scale        alpha = {alpha:+.4f}: multiply every depth by {math.exp(alpha):.4f}")
print(f"error as predicted      = {plain:.5f}, after that scale = {best:.5f} (log metres)^2")
print(f"their difference        = {plain - best:.5f}, mean(d)^2 = {float(d.mean()) ** 2:.5f}")

tries = np.linspace(alpha - 0.4, alpha + 0.4, 121)
errors = [float(jnp.mean((d + a) ** 2)) for a in tries]
figure, ax = plt.subplots(figsize=(6.4, 3.2), layout="constrained")
ax.plot(np.exp(tries), errors, color="0.3")
ax.plot(1, plain, "o", color="tab:red", label=f"as predicted: {plain:.4f}")
ax.plot(math.exp(alpha), best, "o", color="tab:green", label=f"best single scale: {best:.4f}")
ax.annotate("", (1, plain), (1, best), arrowprops={"arrowstyle": "<->", "color": "0.5"})
ax.text(1.015, (plain + best) / 2, r"mean$(d)^2$: the second term", va="center", color="0.3")
ax.axhline(best, color="0.8", lw=0.8, zorder=0)
ax.set(xlabel="all predicted depths multiplied by", ylabel="mean square error ((log m)$^2$)")
ax.legend()
plt.show()

# %% [markdown]
# ## 2. Three forms of one number, and the slip of a factor 2
#
# The paper writes the same error in three ways:
#
# | | | |
# | --- | --- | --- |
# | Eq. 1 | $\frac1n\sum_i(d_i+\alpha)^2$ | error after the best scale |
# | Eq. 2 | $\frac1{2n^2}\sum_{i,j}(d_i-d_j)^2$ | all pairs: is the relation of two depths right? |
# | Eq. 3 | $\frac1n\sum_i d_i^2-\frac1{n^2}\sum_{i,j}d_id_j$ | what one computes |
#
# In Eq. 2, $d_i-d_j=\log\frac{y_i}{y_j}-\log\frac{y_i^*}{y_j^*}$ compares how many times farther
# pixel $i$ is than pixel $j$ in the prediction and in truth. Eq. 2 and 3 agree because
# $\sum_{i,j}(d_i-d_j)^2=\sum_{i,j}(d_i^2-2d_id_j+d_j^2)=2n\sum_i d_i^2-2\big(\sum_i d_i\big)^2$.
# The 2 must be divided out. Both published versions of the paper slip here, in different places:
# arXiv v1 prints Eq. 2 with $1/n^2$, the NIPS proceedings print Eq. 1 with $1/(2n)$. Only the
# factors in the table above make the three equal.

# %%
small = (wrong[2::4, 2::4], true[2::4, 2::4])  # 4800 pixels, 23 million ordered pairs
pairs, scaled = scale_invariant_pairwise(*small), scale_invariant_alpha(*small)
exact = np.var(np.asarray(small[0] - small[1], np.float64))
values = {
    "Eq. 1, best single scale, 1/n": scaled,
    "Eq. 2, all pairs, 1/(2 n^2)": pairs,
    "Eq. 3, closed": scale_invariant_closed(*small),
    "centred variance": scale_invariant_centred(*small),
    "rmse_log_si ** 2 (the metric)": depth_metrics(*map(jnp.exp, small))["rmse_log_si"] ** 2,
    "arXiv v1: Eq. 2 with 1/n^2": 2 * pairs,
    "NIPS: Eq. 1 with 1/(2n)": scaled / 2,
}
print(f"{'':32}(log metres)^2   ratio to the variance in float64")
for name, value in values.items():
    print(f"{name:32}{float(value):13.8f} {float(value) / exact:16.5f}")

# %% [markdown]
# The number that the paper reports as its scale-invariant error is the root of this variance: its
# own experiment of giving the prediction the true mean log depth lowers the log RMSE from 0.28 to
# 0.22, which is its scale-invariant entry (0.221 and 0.219) only with $1/n$ and a square root.
#
# ## 3. What "direction" means
#
# Not left, right, up or down. The direction of an error is its **sign**: predicted too far
# ($d_i>0$) or too near ($d_i<0$). Read Eq. 3 pair by pair: every pair of pixels adds $-d_id_j/n^2$,
#
# * a **credit** if the two errors have the same sign (both too far, or both too near), because one
#   common scale would repair part of both;
# * a **penalty** if they have opposite signs, because every scale that helps one hurts the other.
#
# So the term needs no list of pairs in the end. Let $P$ be the sum of the positive and $N$ that of
# the negative errors (as a positive number). The pairs of equal sign contribute $-(P^2+N^2)/n^2$,
# those of opposite sign $+2PN/n^2$, together $-(P-N)^2/n^2=-\bar d^{\,2}$: **how much of the error
# is one common scale**. If the two signs balance, there is nothing to credit.

# %%
too_far = float(jnp.sum(jnp.maximum(d, 0))) / d.size
too_near = float(jnp.sum(jnp.maximum(-d, 0))) / d.size
share = float(jnp.mean(d > 0))
print(f"too far: {share:.1%} of the pixels, P/n = {too_far:.4f}; too near: N/n = {too_near:.4f}")
print(f"pairs of equal sign    {-(too_far**2 + too_near**2):+.5f} (log metres)^2")
print(f"pairs of opposite sign {2 * too_far * too_near:+.5f}")
print(f"together               {-((too_far - too_near) ** 2):+.5f} = -mean(d)^2")

# %%
rng = np.random.default_rng(5)
ends = rng.uniform((8, 8), (width - 8, height - 8), (36, 2, 2)).astype(int)  # (x, y)
near_far = ListedColormap(["#e58267", "#6bacd1"])
credit = np.asarray(-2 * d.mean() * d)

figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.5), layout="constrained")
show(axes[0], d > 0, "sign of d: the direction of the error", cmap=near_far)
show(axes[1], d > 0, "36 pairs drawn at random", cmap=near_far, alpha=0.45)
signs = np.asarray(jnp.sign(d))
for (x0, y0), (x1, y1) in ends:
    same = signs[y0, x0] == signs[y1, x1]
    axes[1].plot([x0, x1], [y0, y1], "o-", ms=3, lw=1.2, color="#1b7837" if same else "#762a83")
for ax, marks in (
    (axes[0], (("s", "#e58267", "predicted too near"), ("s", "#6bacd1", "predicted too far"))),
    (axes[1], (("_", "#1b7837", "same sign: credit"), ("_", "#762a83", "opposite: penalty"))),
):
    for marker, colour, label in marks:
        ax.plot([], [], marker, color=colour, label=label, ms=9, mew=2)
    ax.legend(loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=2, frameon=False)
end = np.percentile(np.abs(credit), 99)
image = show(axes[2], credit, "credit map  -2 mean(d) d", cmap="PRGn_r", vmin=-end, vmax=end)
figure.colorbar(image, ax=axes[2], label="(log m)$^2$; green lowers the loss", shrink=0.8)
plt.show()

# %% [markdown]
# The **credit map** on the right holds, at pixel $i$, the sum over all pairs in which $i$ takes
# part, times $n$: $-2\,\bar d\,d_i$. (Each pair is listed at both its ends, so the map's mean is
# $-2\bar d^{\,2}$, twice the term.) Here most of the picture is too far. Pixels that are too far
# are credited (green), the more the further they are; the pixels that are too near go against the
# common error and pay (purple).
#
# ### What each lambda does to the gradient
#
# The gradient of the loss at a pixel is $\frac2n(d_i-\lambda\bar d)$: **the part $\lambda$ of the
# common error is taken off before the network is told anything.** Below are three wrong predictions
# of the same room, and the gradients `jax.grad` finds for them, multiplied by $n/2$ so that they
# are in log metres like $d$ itself. Blue: gradient descent pulls the depth nearer; red: it pushes
# it farther; white: left alone.

# %%
mistakes = {
    "too far by 1.3": true + math.log(1.3),
    "tilted: right edge 1.65x too far": true + 0.25 * (ramp + 1),
    "blurred": blur(true),
}
limits = depth_limits(*(np.exp(p) for p in mistakes.values()))
gradient = jax.grad(lambda p, lam: scale_invariant_loss(p, true, lam=lam))

figure, axes = plt.subplots(3, 4, figsize=(12.5, 7.2), layout="constrained")
for row, (name, prediction) in zip(axes, mistakes.items(), strict=True):
    show_depth(row[0], prediction, name)
    for ax, lam in zip(row[1:], (0.0, 0.5, 1.0), strict=True):
        field = gradient(prediction, lam) * true.size / 2
        title = f"lam = {lam:g}" + {0.0: ": L2 in log space", 1.0: ": scale-invariant"}.get(lam, "")
        image = show(ax, field, title, cmap="RdBu", vmin=-0.5, vmax=0.5)
        mean = round(float(field.mean()), 3) + 0.0  # no "-0"
        ax.set_xlabel(f"mean {mean:+.3f} log m")
depth_bar(figure, axes[:, 0])
figure.colorbar(image, ax=axes[:, 3], label="n/2 x gradient (log m): + pulls nearer", shrink=0.6)
print("mean(d):", {name: round(float((p - true).mean()), 3) for name, p in mistakes.items()})

# %% [markdown]
# * **Too far.** The whole error is one scale. $\lambda=0$ corrects it at full strength,
#   $\lambda=0.5$ at half, $\lambda=1$ not at all: the white panel is a network that is told it
#   made no mistake.
# * **Tilted.** $\lambda=0$ says "everything on the right is too far". $\lambda=1$ takes off the
#   mean and says "compared with the middle, the right is too far *and the left too near*": it
#   corrects the slope and leaves the scale. $\lambda=0.5$ is halfway.
# * **Blurred.** Around every edge one side is too far and the other too near; the errors cancel,
#   $\bar d\approx0$, and $\lambda$ makes next to no difference.
#
# For $\lambda=1$ the gradient sums to zero over the picture, always: nothing pulls on the scale.
#
# ## 4. The second term alone means nothing
#
# It is tempting to read the second term as a goal of its own ("make the errors agree in
# direction"). It is not one: $-\bar d^{\,2}$ has no minimum. Wrong by $e^{c}$ everywhere, a
# prediction earns $-c^2$, without end. Only with the first term is there something to minimise,
# because that grows at least as fast (Cauchy-Schwarz, $\bar d^{\,2}\le\frac1n\sum_i d_i^2$):
#
# $$L=\frac1n\sum_i d_i^2-\lambda\,\bar d^{\,2}
#    =\underbrace{\tfrac1n\textstyle\sum_i(d_i-\bar d\,)^2}_{\text{variance}}
#    +(1-\lambda)\,\underbrace{\bar d^{\,2}}_{\text{scale}}\;\ge 0
#    \quad\text{for }0\le\lambda\le1 .$$
#
# The sum is a variance for $\lambda=1$, and a variance plus a share of the squared scale error
# below. A $\lambda$ above 1 would reward wrong scale, which is why `scale_invariant_loss` refuses
# it.

# %%
common = np.linspace(-1.5, 1.5, 61)
shifted = wrong[None] - d.mean() + jnp.asarray(common, jnp.float32)[:, None, None]
losses = {
    lam: scale_invariant_loss(shifted, jnp.broadcast_to(true, shifted.shape), lam=lam)
    for lam in (0, 0.5, 1)
}
figure, ax = plt.subplots(figsize=(8.2, 3.6), layout="constrained")
for lam, label in ((0, "first term (lam = 0)"), (0.5, "lam = 0.5"), (1, "lam = 1: the variance")):
    ax.plot(np.exp(common), losses[lam], label=label)
ax.plot(np.exp(common), -(common**2), "k--", label="second term alone, lam = 1")
ax.axhline(0, color="0.7", lw=0.8)
ax.set(xscale="log", xlabel="common factor of the predicted depths", ylabel="loss ((log m)$^2$)")
ax.set_xticks([0.25, 0.5, 1, 2, 4], labels=["1/4", "1/2", "right", "2x", "4x"])
ax.minorticks_off()
ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
plt.show()

# %% [markdown]
# And this is what gradient descent makes of the wrong prediction, 40 steps with each:


# %%
def second_term(prediction):
    return -(jnp.mean(prediction - true) ** 2)


def descend(loss, steps):
    def step(prediction, _):
        return prediction - 0.1 * true.size * jax.grad(loss)(prediction), None

    return jax.lax.scan(step, wrong, length=steps)[0] - true


objectives = {
    "second term alone": second_term,
    "lam = 0.5": lambda p: scale_invariant_loss(p, true, lam=0.5),
    "lam = 1": lambda p: scale_invariant_loss(p, true, lam=1.0),
}
print(f"{'':20}{'common factor, predicted / true':>34}{'spread std(d), log metres':>34}")
print(f"{'after steps':20}" + "".join(f"{s:>11}" for s in (0, 20, 40)) * 2)
for name, loss in objectives.items():
    left = [descend(loss, steps) for steps in (0, 20, 40)]
    factors = "".join(f"{math.exp(float(e.mean())):11.4g}" for e in left)
    print(f"{name:20}{factors}" + "".join(f"{float(e.std()):11.4f}" for e in left))

# %% [markdown]
# The second term alone drives the scale off without limit and leaves the shape as wrong as it was.
# $\lambda=0.5$ repairs both, the shape faster than the scale. $\lambda=1$ repairs the shape and
# keeps the scale it started with.
#
# ## 5. Float32: the closed form loses its digits
#
# Eq. 3 subtracts two numbers that are nearly equal when the common error is large against the
# spread: a prediction that is right up to its scale is the best case for the loss and the worst
# for the formula. Float32 keeps 7 digits; with a common factor of $e$ and a spread of $0.001$, six
# of them cancel. The cure is to subtract the mean before squaring:
# $\frac1n\sum(d_i-\bar d)^2+(1-\lambda)\bar d^{\,2}$, a sum of two squares, never negative.

# %%
offsets = np.geomspace(1e-3, 100, 61)
noise = rng.normal(0, 1e-3, (61, 55, 74))
off = jnp.asarray(offsets[:, None, None] + noise, jnp.float32)
truth = np.var(np.asarray(off, np.float64), axis=(1, 2))  # of the float32 errors, exactly
zero = jnp.zeros_like(off)
relative = {
    name: (np.asarray(form(off, zero), np.float64) - truth) / truth
    for name, form in (("closed", scale_invariant_closed), ("centred", scale_invariant_centred))
}

figure, ax = plt.subplots(figsize=(8.2, 3.6), layout="constrained")
for (name, error), colour in zip(relative.items(), ("tab:red", "tab:green"), strict=True):
    size = np.maximum(np.abs(error), 1e-9)
    ax.plot(offsets, size, ".", color=colour, label=name)
negative = relative["closed"] < -1
size = np.abs(relative["closed"][negative])
ax.plot(offsets[negative], size, "x", color="k", label="closed, below zero")
ax.axhline(1, color="0.7", lw=0.8)
ax.set(xscale="log", yscale="log", ylabel="relative error of the variance")
ax.set(xlabel="common error mean(d) (log m), spread 0.001 log m", ylim=(1e-9, None))
ax.axvline(math.log(2), color="0.8", lw=0.8)
ax.text(math.log(2) * 0.9, 1e3, "factor 2", color="0.4", ha="right")
ax.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
print(f"closed:  negative at {negative.sum()} of 61 offsets;", end=" ")
print(
    f"relative error at a factor of 2: {np.interp(0.69, offsets, np.abs(relative['closed'])):.1e}"
)
print(f"centred: never negative; largest relative error {np.abs(relative['centred']).max():.1e}")

# %% [markdown]
# Where the closed form stands at 1 it returned exactly 0: every digit was gone. Where it is
# negative, the root in the metric is NaN. This is why every function of
# `depthsi.losses` and `depthsi.metrics` centres first, except `scale_invariant_closed`, which
# is the printed formula for study.
#
# ## 6. What the pairs cost
#
# Eq. 2 says what the error means, but it has $n^2$ terms; Eq. 3 and the centred form pass over the
# $n$ pixels once or twice. An output of the paper's network has 4070 pixels, 16.6 million pairs.
# (Wall time of the value, best of ten calls, on the machine that ran this notebook: look at the
# slopes, not at the numbers. Below a tenth of a millisecond it is the cost of calling anything.)

# %%
sizes = (64, 256) if FAST else (64, 256, 1024, 4096, 16384, 65536)
forms = {
    "Eq. 2, all pairs": scale_invariant_pairwise,
    "Eq. 3, closed": scale_invariant_closed,
    "centred": scale_invariant_centred,
}


def best_time(function, *arguments, calls=10):
    jax.block_until_ready(function(*arguments))  # compiles
    times = []
    for _ in range(calls):
        start = time.perf_counter()
        jax.block_until_ready(function(*arguments))
        times.append(time.perf_counter() - start)
    return min(times)


seconds = {name: [] for name in forms}
for n in sizes:
    pair = jnp.asarray(rng.normal(size=(2, 1, n)), jnp.float32)
    for name, form in forms.items():
        seconds[name].append(best_time(jax.jit(form), *pair))

figure, ax = plt.subplots(figsize=(6.4, 3.4), layout="constrained")
for name, marker in zip(forms, "os^", strict=True):
    ax.plot(sizes, np.array(seconds[name]) * 1e3, marker + "-", label=name)
ax.set(xscale="log", yscale="log", xlabel="valid pixels n", ylabel="time of one value (ms)")
ax.set_xticks(sizes, labels=[f"{n}" for n in sizes])
ax.minorticks_off()
ax.legend()
print(f"{'n':>8}" + "".join(f"{name:>20}" for name in forms))
for k, n in enumerate(sizes):
    print(f"{n:8}" + "".join(f"{seconds[name][k] * 1e3:17.3f} ms" for name in forms))

# %% [markdown]
# The pairwise form of this library never holds the pairs: they are met some at a time, so its
# memory is that of the image. Written naively with an $n\times n$ array it would need 66 MB at
# $n = 4070$ and 377 GB at the 307 200 pixels of a full camera picture, before any gradient.
#
# ## 7. Does it matter in training?
#
# Now rooms whose true scale **cannot be seen**: every room (walls, furniture, texture, camera) is
# scaled by a random factor between 0.5 and 2. That leaves the picture as it is and multiplies the
# depth, so no network can know a room's scale. A small network learns from 512 such rooms and is
# judged on 192 others, with $\lambda$ = 0, 0.5 and 1, on two numbers (mean over rooms): `rmse_log`,
# the metric error, and `rmse_log_si`, the scale-invariant one. Five seeds each; a seed draws its
# own rooms and scales, initial weights and order of rooms, the same for all three $\lambda$. All
# start from the mean log depth of their rooms.
#
# Even a perfect network would not do better in metric terms than guessing the middle scale, a mean
# error of $\frac12\ln2\approx0.35$.

# %%
SEEDS, ROOMS, HELD_OUT, STEPS = (2, 4, 4, 4) if FAST else (5, 512, 192, 400)
LAMBDAS = (0.0, 0.5, 1.0)
BATCH, GRID = 16, (15, 20)


@jax.jit
def render(keys):
    """[n] keys -> pictures [n, 60, 80, 3] in -1..1, log depth in metres at the output's pixels."""

    def one(key):
        image, depth = room(key, scale_range=(0.5, 2.0), size=(60, 80))
        return image / 127.5 - 1, jnp.log(depth[2::4, 2::4])

    return jax.lax.map(one, keys)


def rooms(seed, split, count):
    return render(jax.vmap(lambda i: room_key(seed, split, i))(jnp.arange(count)))


def patches(x, h, w):
    """[b, H, W, c] -> [b, H/h, W/w, h w c]: what a convolution of stride (h, w) sees."""
    b, rows, columns, c = x.shape
    x = x.reshape(b, rows // h, h, columns // w, w, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(b, rows // h, columns // w, h * w * c)


def neighbours(x):
    """[b, h, w, c] -> [b, h, w, 9 c]: what a 3 x 3 convolution sees at each place."""
    h, w = x.shape[1:3]
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return jnp.concatenate([x[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], -1)


class SmallNet(nn.Module):
    """Coarse and fine, as in the paper: a global guess of the depth, refined at each place.

    Its convolutions are matrix products over patches: on a CPU, far faster inside a compiled loop.
    """

    @nn.compact
    def __call__(self, x):
        small = nn.initializers.normal(0.01)
        local = nn.relu(nn.Dense(32, name="conv1")(patches(x, 4, 4)))
        x = nn.relu(nn.Dense(48, name="conv2")(patches(local, 3, 4)))
        x = nn.relu(nn.Dense(96, name="full3")(x.reshape(len(x), -1)))
        coarse = nn.Dense(math.prod(GRID), name="full4", kernel_init=small)(x)
        coarse = coarse.reshape(-1, *GRID, 1)
        x = neighbours(jnp.concatenate([coarse, local], axis=-1))
        x = nn.relu(nn.Dense(16, name="fine1")(x))
        return (coarse + nn.Dense(1, name="fine2", kernel_init=small)(x))[..., 0]


@jax.jit
def train(key, lam, images, targets, start, tests):
    """Log metres predicted for `tests`; `start` (log metres) is added to what the network says."""
    net = SmallNet()
    optimiser = optax.adam(optax.cosine_decay_schedule(7e-4, STEPS))
    params = net.init(key, images[:1])

    def loss(params, image, target):
        predictions = start + net.apply(params, image)
        return scale_invariant_loss(predictions, target, lam=lam).mean()

    def step(state, key):
        params, memory = state
        draw, mirror = jax.random.split(key)
        chosen = jax.random.choice(draw, len(images), (BATCH,))
        flip = jax.random.bernoulli(mirror, 0.5, (BATCH,))
        image, target = images[chosen], targets[chosen]
        image = jnp.where(flip[:, None, None, None], image[:, :, ::-1], image)
        target = jnp.where(flip[:, None, None], target[:, :, ::-1], target)
        gradients = jax.grad(loss)(params, image, target)
        updates, memory = optimiser.update(gradients, memory, params)
        return (optax.apply_updates(params, updates), memory), None

    keys = jax.random.split(jax.random.fold_in(key, 1), STEPS)
    (params, _), _ = jax.lax.scan(step, (params, optimiser.init(params)), keys)
    return start + net.apply(params, tests)


def judge(predictions, targets):
    """(rmse_log, rmse_log_si), means over rooms; both arguments in log metres."""
    numbers = depth_metrics(jnp.exp(predictions), jnp.exp(targets))
    return [float(numbers[name].mean()) for name in ("rmse_log", "rmse_log_si")]


test_pictures, test_depths = rooms(0, "val", HELD_OUT)
results = np.zeros((SEEDS, len(LAMBDAS), 2))  # held out: metric, scale-invariant
learned = np.zeros((SEEDS, len(LAMBDAS)))  # metric error on the rooms trained on
from_one_metre, average_map = [], []
for seed in range(SEEDS):
    images, targets = rooms(seed, "train", ROOMS)
    start = targets.mean()
    both = jnp.concatenate([test_pictures, images])
    for k, lam in enumerate(LAMBDAS):
        predicted = train(jax.random.key(seed), jnp.float32(lam), images, targets, start, both)
        predicted, own = predicted[:HELD_OUT], predicted[HELD_OUT:]
        results[seed, k] = judge(predicted, test_depths)
        learned[seed, k] = judge(own, targets)[0]
    from_one_metre.append(judge(predicted - start, test_depths)[0])  # of lam = 1
    average_map.append(judge(jnp.broadcast_to(targets.mean(0), test_depths.shape), test_depths))

# %%
mean, error = results.mean(0), results.std(0, ddof=1) / math.sqrt(SEEDS)
baseline = np.mean(average_map, axis=0)
print(f"{SEEDS} seeds, mean +- standard error", end="")
print(f"{'metric: rmse_log':>23}{'rmse_log_si':>20}{'rmse_log, rooms trained on':>32}")
for k, lam in enumerate(LAMBDAS):
    cells = [f"{mean[k, m]:.4f} +- {error[k, m]:.4f}" for m in (0, 1)]
    print(f"lam = {lam:<29g}{cells[0]:>20}{cells[1]:>20}{learned.mean(0)[k]:>24.4f}")
print(f"{'the same map for every room':35}{baseline[0]:>10.4f}{baseline[1]:>20.4f}")
print(f"{'lam = 1, started from 1 m':35}{np.mean(from_one_metre):>10.4f}{mean[2, 1]:>20.4f}\n")
for first, second in ((1, 0), (2, 1), (2, 0)):
    change = results[:, first] - results[:, second]
    spread = change.std(0, ddof=1) / math.sqrt(SEEDS)
    better = (change < 0).sum(0)
    cells = [
        f"{change.mean(0)[m]:+.4f} +- {spread[m]:.4f} ({better[m]} of {SEEDS} lower)"
        for m in (0, 1)
    ]
    print(
        f"lam {LAMBDAS[first]:g} minus lam {LAMBDAS[second]:g}, same seed: {cells[0]}   {cells[1]}"
    )

figure, axes = plt.subplots(1, 2, figsize=(10, 3.6), layout="constrained")
titles = ("metric error", "scale-invariant error")
for m, (ax, title) in enumerate(zip(axes, titles, strict=True)):
    for seed in range(SEEDS):
        label = "one seed" if seed == 0 else None
        ax.plot(range(3), results[seed, :, m], ".-", color="0.75", lw=0.8, label=label)
    label = "mean and standard error"
    ax.errorbar(
        range(3), mean[:, m], error[:, m], fmt="o", capsize=5, color="tab:blue", label=label
    )
    label = "the same map for every room"
    ax.axhline(baseline[m], color="tab:orange", ls="--", lw=1, label=label)
    ax.set(title=title, xlabel="lambda", ylabel=f"{('rmse_log', 'rmse_log_si')[m]} (log m)")
    ax.set_xticks(range(3), labels=[f"{lam:g}" for lam in LAMBDAS])
    ax.margins(x=0.15)
axes[1].legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False)
plt.show()

# %% [markdown]
# What the runs above show, and what they do not:
#
# * **Shape.** The scale-invariant error falls from $\lambda=0$ to 0.5 to 1, in every seed. The
#   gain is real but small, one or two parts in a hundred, and most of it is had at 0.5. Here
#   $\lambda$ spares the network the attempt to learn by heart a scale that the pictures do not
#   contain.
# * **Metric error.** Giving up the pull on the scale costs nothing *here*, rather the reverse:
#   the smaller $\lambda$, the better the network fits the random scales of its own 512 rooms (last
#   column), and the worse it does on others, where those scales mean nothing. With $\lambda=0$ it
#   is hardly better than the same average map for every room. The difference in metric error
#   between 0.5 and 1 is too small for five seeds to be sure of.
# * **The good metric error of $\lambda=1$ is not the loss's doing.** All runs started from the mean
#   log depth, and that loss leaves the scale where it starts. The row "started from 1 m" is the
#   same networks without that start: the gradients, and so the weights and the scale-invariant
#   error, are the same, and the metric error is more than twice as large.
# * So $\lambda=0.5$ is the safe middle: most of the gain in shape, and a scale that still belongs
#   to the loss. The paper itself found no gain in numbers over $\lambda=0$.
# * `experiments/results/studies/losses.md` compares seventeen losses with one network, data and
#   protocol: those that see the scale of log depth can hardly be told apart.
# * All of this is for a tiny network, few rooms, and a scale that nobody could know. Where pictures
#   do show the scale, $\lambda=1$ has something to lose in metric error; that is not measured
#   here. The best networks are still less than ten parts in a hundred better than the average
#   map (the axes of the figure do not start at zero), and the error bars are those of the seeds:
#   the held-out rooms are the same for all.
