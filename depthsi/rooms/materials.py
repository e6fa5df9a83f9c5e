"""Random materials: one parametric texture, anchored in metres, that is paint, brick, planks...

Every material is a row of the same numbers (`Material`), so that the renderer evaluates one formula
per pixel instead of one per kind.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

_RANGES = (
    "light",  # albedo of the first colour
    "saturation",
    "hue",
    "second",  # albedo of the second colour relative to the first
    "shift",  # its hue relative to the first
    "cell_u",  # cells (tiles, bricks, planks, stripes), metres
    "cell_v",
    "stagger",  # shift of each row of cells, in cells
    "tone",  # mix towards the second colour: a random amount per cell
    "parity",  # and alternating cells
    "joint",  # darkening of the joint between cells
    "joint_width",  # metres
    "noise",  # relative amplitude of value noise
    "noise_u",  # its frequency, per metre
    "noise_v",
    "swap",  # above 0.5: exchange u and v
)
DRAWS = len(_RANGES) + 1
FEATURES = 17  # two colours, the nine numbers from stagger on, two cell frequencies

_FLAT = {"second": 1.0, "cell_u": 50.0, "cell_v": 50.0, "joint_width": 0.01, "swap": (0, 1)}
_WOODEN = {"light": (0.08, 0.5), "saturation": (0.45, 0.8), "hue": (0.05, 0.11)}

MATERIALS = {
    "paint": _FLAT
    | {"light": (0.45, 0.9), "saturation": (0.0, 0.3), "hue": (0, 1)}
    | {"noise": (0.02, 0.1), "noise_u": (0.5, 3), "noise_v": (0.5, 3)},
    "stripes": {"light": (0.4, 0.85), "saturation": (0, 0.35), "hue": (0, 1), "swap": (0.3, 1)}
    | {"second": (0.45, 0.9), "shift": (-0.2, 0.2), "cell_u": 50.0, "cell_v": (0.04, 0.25)}
    | {"parity": (0.5, 1), "tone": (0, 0.3), "noise": 0.05, "noise_u": 3.0, "noise_v": 3.0}
    | {"joint_width": 0.005},
    "brick": {"light": (0.25, 0.6), "saturation": (0.1, 0.65), "hue": (0.0, 0.08)}
    | {"second": (0.5, 0.8), "cell_u": (0.2, 0.26), "cell_v": (0.065, 0.085), "stagger": 0.5}
    | {"tone": (0.4, 1), "joint": (-0.5, 0.5), "joint_width": 0.012}
    | {"noise": 0.2, "noise_u": 25.0, "noise_v": 25.0},
    "planks": _WOODEN
    | {"second": (0.5, 0.85), "shift": (-0.01, 0.01), "cell_u": (0.7, 1.6)}
    | {"cell_v": (0.07, 0.2), "stagger": (0.3, 0.45), "tone": (0.4, 1), "joint": (0.3, 0.7)}
    | {"joint_width": (0.004, 0.01), "noise": (0.1, 0.3), "noise_u": 3.0, "noise_v": (30, 60)}
    | {"swap": (0, 1)},
    "tiles": {"light": (0.3, 0.85), "saturation": (0, 0.3), "hue": (0, 0.7), "second": (0.8, 0.97)}
    | {"cell_u": (0.1, 0.5), "cell_v": (0.1, 0.5), "stagger": (-0.4, 0.4), "tone": (0.2, 1)}
    | {"joint": (-0.2, 0.6), "joint_width": (0.006, 0.014)}
    | {"noise": (0.02, 0.15), "noise_u": 6.0, "noise_v": 6.0},
    "checker": {"light": (0.5, 0.85), "saturation": (0, 0.2), "hue": (0, 1), "second": (0.1, 0.5)}
    | {"cell_u": (0.2, 0.4), "cell_v": (0.2, 0.4), "parity": (0.6, 1), "joint": (0, 0.3)}
    | {"joint_width": 0.006, "noise": 0.06, "noise_u": 8.0, "noise_v": 8.0},
    "carpet": _FLAT
    | {"light": (0.12, 0.55), "saturation": (0, 0.5), "hue": (0, 1)}
    | {"noise": (0.15, 0.35), "noise_u": (12, 40), "noise_v": (12, 40)},
    "fabric": {"light": (0.1, 0.6), "saturation": (0.0, 0.7), "hue": (0, 1), "second": (0.4, 0.9)}
    | {"cell_u": (0.05, 0.3), "cell_v": (0.05, 0.3), "parity": (-0.6, 0.8), "swap": (0, 1)}
    | {"joint_width": 0.005, "noise": (0.1, 0.3), "noise_u": (10, 40), "noise_v": (10, 40)},
    "wood": _WOODEN
    | {"second": (0.6, 0.9), "cell_u": 50.0, "cell_v": (0.08, 0.4), "tone": (0, 1)}
    | {"joint": (0, 0.3), "joint_width": 0.004, "swap": (0, 1)}
    | {"noise": (0.15, 0.35), "noise_u": (1, 3), "noise_v": (15, 50)},
    "lacquer": _FLAT
    | {"light": (0.55, 0.9), "saturation": (0, 0.12), "hue": (0, 1)}
    | {"noise": 0.03, "noise_u": 3.0, "noise_v": 3.0},
    "dark": _FLAT
    | {"light": (0.015, 0.08), "saturation": (0, 0.4), "hue": (0, 1)}
    | {"noise": 0.1, "noise_u": 5.0, "noise_v": 5.0},
    "colour": _FLAT
    | {"light": (0.2, 0.75), "saturation": (0.3, 0.85), "hue": (0, 1)}
    | {"noise": 0.08, "noise_u": 6.0, "noise_v": 6.0},
    "books": {"light": (0.3, 0.7), "saturation": (0.2, 0.7), "hue": (0, 1), "second": (0.1, 0.4)}
    | {"shift": (0.2, 0.6), "cell_u": (0.03, 0.06), "cell_v": (0.28, 0.4), "tone": 1.0}
    | {"joint": (0.4, 0.9), "joint_width": 0.012, "noise": 0.2, "noise_u": 20.0, "noise_v": 8.0},
    "picture": {"light": (0.3, 0.85), "saturation": (0, 0.7), "hue": (0, 1), "second": (0.05, 0.5)}
    | {"shift": (0.1, 0.9), "cell_u": (0.08, 0.4), "cell_v": (0.08, 0.4), "tone": (0.5, 1)}
    | {"stagger": (0, 0.6), "joint_width": 0.005}
    | {"noise": (0.2, 0.7), "noise_u": (4, 15), "noise_v": (4, 15)},
    "garden": {"light": (0.2, 0.5), "saturation": (0.3, 0.7), "hue": (0.2, 0.38), "second": 0.5}
    | {"cell_u": (0.4, 1.5), "cell_v": (0.4, 1.5), "tone": (0.3, 1), "stagger": 0.4}
    | {"joint_width": 0.01, "noise": (0.4, 0.8), "noise_u": (1, 3), "noise_v": (1, 3)},
    "facade": {"light": (0.3, 0.75), "saturation": (0, 0.4), "hue": (0, 0.15), "second": (0.1, 0.3)}
    | {"cell_u": (1.2, 2.5), "cell_v": (1.2, 2.0), "parity": 1.0, "joint": (-0.3, 0.3)}
    | {"joint_width": 0.15, "noise": 0.1, "noise_u": 2.0, "noise_v": 2.0},
    "sky": _FLAT
    | {"light": (0.8, 1.0), "saturation": (0.0, 0.35), "hue": (0.55, 0.62)}
    | {"noise": (0, 0.2), "noise_u": 0.15, "noise_v": 0.15},
}

_DEFAULT = dict.fromkeys(_RANGES, 0.0) | {"cell_u": 1.0, "cell_v": 1.0, "noise_u": 1.0}
_DEFAULT |= {"noise_v": 1.0}


def _table() -> np.ndarray:
    """Returns the ranges (kinds, numbers, 2)."""
    rows = [
        [np.broadcast_to(np.float32((_DEFAULT | ranges)[name]), 2) for name in _RANGES]
        for ranges in MATERIALS.values()
    ]
    return np.array(rows, np.float32)


_TABLE = _table()

# What a thing may be made of: weights of materials.
WEIGHTS = {
    "floor": {"planks": 4, "tiles": 2.5, "carpet": 3, "checker": 0.7, "wood": 0.5},
    "wall": {"paint": 6, "stripes": 1, "brick": 0.6, "tiles": 0.7, "planks": 0.3},
    "ceiling": {"lacquer": 4, "paint": 1, "planks": 0.3},
    "trim": {"lacquer": 4, "wood": 1},
    "ground": {"garden": 2, "tiles": 1},
    "view": {"garden": 2, "facade": 2, "brick": 0.7},
    "sky": {"sky": 1},
    "body": {"wood": 5, "lacquer": 2, "fabric": 2, "colour": 1, "dark": 1},
    "accent": {"wood": 3, "lacquer": 3, "dark": 1.5, "colour": 1},
    "filling": {"books": 2, "dark": 3, "colour": 1, "picture": 0.5},
    "cloth": {"fabric": 3, "carpet": 1, "colour": 1, "dark": 0.5},
    "rug": {"fabric": 2, "picture": 2, "carpet": 1},
    "picture": {"picture": 1},
    "thing": {"colour": 2, "fabric": 1, "lacquer": 1, "wood": 1, "dark": 0.5},
    "plant": {"garden": 3, "colour": 1},
    "lamp": {"lacquer": 1},
}


def _mix(light: Array, saturation: Array, hue: Array) -> Float[Array, "n 3"]:
    """A colour by albedo, saturation and hue in turns (0 red, 1/3 green, 2/3 blue)."""
    turn = hue[:, None] - jnp.arange(3)[None] / 3
    return light[:, None] * (1 - saturation[:, None] * (0.5 - 0.5 * jnp.cos(2 * np.pi * turn)))


def materials(draws: Float[Array, "n draws"], uses: tuple[str, ...]) -> Float[Array, "n features"]:
    """Draws one material for each use.

    Args:
      draws: uniform random numbers, `DRAWS` for each use.
      uses: keys of `WEIGHTS`.

    Returns:
      Rows of FEATURES numbers: first colour, second colour (albedo, RGB), cells per metre along
      u and v, then stagger, tone, parity, joint, joint_width, noise, noise_u, noise_v, swap.
    """
    weights = np.array([[WEIGHTS[use].get(name, 0.0) for name in MATERIALS] for use in uses])
    shares = np.cumsum(weights / weights.sum(1, keepdims=True), axis=1)[:, :-1].astype(np.float32)
    kind = jnp.sum(draws[:, :1] > jnp.asarray(shares), axis=1)
    low, high = jnp.unstack(jnp.asarray(_TABLE)[kind], axis=-1)
    value = dict(zip(_RANGES, (low + draws[:, 1:] * (high - low)).T, strict=True))
    first = _mix(value["light"], value["saturation"], value["hue"])
    second = _mix(
        value["light"] * value["second"], value["saturation"], value["hue"] + value["shift"]
    )
    cells = [1 / value["cell_u"], 1 / value["cell_v"]]
    rest = [value[name] for name in _RANGES[_RANGES.index("stagger") :]]
    return jnp.concatenate([first, second, jnp.stack(cells + rest, axis=1)], axis=1)
