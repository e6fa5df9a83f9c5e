"""What knowing a photo's focal length gains.

Question:  a network predicts metres for the camera it was trained with. How wrong are they on
           photos with wider and narrower views of the same rooms, and how much of this error is
           removed by scaling the photo to the training camera's angle per pixel (--focal, --fov,
           EXIF), or by scaling the depth of the whole photo by the ratio of the focal lengths?
Command:   python -m experiments.studies.camera
Hardware:  2 CPU cores; on a GPU, raise --width and --samples.
Time:      one training of about two minutes of one core for each seed, and as long for the rooms.
Result:    experiments/results/studies/camera.md, .json and .png.
"""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32, UInt8

from depthsi.camera import Photo, focal_from_fov
from depthsi.predictor import Predictor
from depthsi.rooms.scene import scene
from depthsi.rooms.shade import shade
from depthsi.rooms.source import room_key
from depthsi.rooms.trace import trace
from depthsi.weights.network_file import TrainedNetwork
from experiments.studies.figures import panels
from experiments.studies.lab import Lab, conduct, main, markdown, spread

VIEWS = (30.0, 45.0, 63.3, 80.0, 95.0)  # degrees across; the networks' rooms have 51 to 65
SIZE = (240, 320)
WAYS = {
    "unknown": "as if of the training camera",
    "resampled": "resampled by the focal length",
    "depth scaled": "depth times the ratio of focal lengths",
}


@jax.jit
def _seen(key: jax.Array, half_width: jax.Array) -> tuple[jax.Array, jax.Array]:
    room = scene(key)._replace(half_width=half_width)
    hits = trace(room, SIZE)
    return shade(room, hits), hits.depth


def views(
    degrees: float, count: int
) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], Float32[np.ndarray, "H W"]]]:
    """Rooms of the split test through a camera with this horizontal field of view, and metres."""
    half_width = jnp.float32(np.tan(np.radians(degrees) / 2))
    for index in range(count):
        image, depth = _seen(room_key(0, "test", index), half_width)
        yield np.asarray(image), np.asarray(depth)


def errors(predictor: Predictor, degrees: float, count: int) -> dict[str, dict[str, float]]:
    """Way -> metric, mean over rooms: offset is the mean of d = log(prediction / truth)."""
    focal = focal_from_fov(degrees, SIZE[1])
    ratio = np.float32(focal / predictor.sizes.focal_length(SIZE))
    images, truths = map(list, zip(*views(degrees, count), strict=True))
    whole = predictor.batch(images)
    maps = {
        "unknown": whole,
        "resampled": predictor.batch(Photo(image, focal) for image in images),
        "depth scaled": [ratio * depth for depth in whole],
    }
    return {way: _metrics(found, truths) for way, found in maps.items()}


def _metrics(maps: list[np.ndarray], truths: list[np.ndarray]) -> dict[str, float]:
    rows = []
    for depth, truth in zip(maps, truths, strict=True):
        d = np.log(depth.astype(np.float64) / truth)
        rows.append((d.mean(), np.sqrt(np.mean(d**2)), d.std()))
    names = ("offset", "rmse_log", "rmse_log_si")
    return dict(zip(names, np.mean(rows, axis=0).tolist(), strict=True))


def measure(lab: Lab) -> dict[str, Any]:
    """Field of view -> way -> metric -> a number for each seed."""
    count = min(lab.options.test, 64)
    predictors = []
    for seed in lab.options.seeds:
        config = lab.config("rooms", seed)
        params = jax.device_get(lab.params(config))
        predictors.append(Predictor(TrainedNetwork(config.model, params, ("coarse",), 0)))
    found: dict[str, Any] = {}
    for degrees in lab.some(VIEWS):
        of_seeds = [errors(predictor, degrees, count) for predictor in predictors]
        found[str(degrees)] = {
            way: {name: [each[way][name] for each in of_seeds] for name in of_seeds[0][way]}
            for way in WAYS
        }
    return found


def report(found: dict[str, Any]) -> str:
    """A row for each field of view."""
    headers = ["degrees across"]
    headers += [f"{way}: {name}" for way in WAYS for name in ("RMSE log", "offset", "SI")]
    rows = [
        [
            degrees,
            *(
                spread(by_way[way][name])
                for way in WAYS
                for name in ("rmse_log", "offset", "rmse_log_si")
            ),
        ]
        for degrees, by_way in found.items()
    ]
    words = "; ".join(f"{way}: {text}" for way, text in WAYS.items())
    return (
        "The same rooms, never seen in training, through other cameras, mean over rooms. "
        f"{words}. `offset` is the mean of d = log(prediction / truth), SI the error"
        " without it. In brackets the seeds.\n\n" + markdown(headers, rows)
    )


def draw(found: dict[str, Any], path: Path) -> None:
    """Both errors against the field of view."""
    degrees = [float(each) for each in found]

    def curves(name: str) -> dict[str, Any]:
        return {
            words: (degrees, [by_way[way][name] for by_way in found.values()])
            for way, words in WAYS.items()
        }

    shown = {"with its scale": curves("rmse_log"), "without": curves("rmse_log_si")}
    panels(path, shown, x="field of view, degrees", y=["RMSE log", "RMSE log SI"])


study = functools.partial(conduct, "camera", measure=measure, report=report, draw=draw)

if __name__ == "__main__":
    main(study, __doc__)
