"""Arrays as images inside a page."""

import base64
import io
from collections.abc import Sequence

import numpy as np
from jaxtyping import Int64
from PIL import Image

from depthsi.report.analysis import ShownImage
from depthsi.report.markup import Html, image_uri, tag
from depthsi.viz.depth_maps import (
    colour_depth,
    colour_error,
    depth_limits,
    depth_scale,
    error_limit,
    error_scale,
)
from depthsi.viz.grid import Scale

WIDEST = 640  # pixels of an image in the page


def photo(picture: np.ndarray, alt: str) -> Html:
    """An image, uint8 (h, w, 3), as JPEG."""
    image = Image.fromarray(picture)
    image.thumbnail((WIDEST, WIDEST), Image.Resampling.BOX)
    return tag("img", src=_encoded(image, "jpeg"), alt=alt)


def exact(picture: np.ndarray, alt: str) -> Html:
    """Colours that mean numbers, uint8 (h, w, 3), as PNG."""
    step = -(-picture.shape[1] // WIDEST)  # whole pixels are left out, none are mixed
    image = Image.fromarray(np.ascontiguousarray(picture[::step, ::step]))
    return tag("img", src=_encoded(image, "png"), alt=alt, class_="sharp")


def density(counts: Int64[np.ndarray, "n n"]) -> Html:
    """Address of an image of counts (true, predicted): the more, the less transparent, by log.

    True depth runs to the right, predicted depth upwards.
    """
    level = np.log1p(counts.T[::-1].astype(np.float64))
    rgba = np.zeros((*level.shape, 4), np.uint8)
    rgba[..., :3] = (30, 120, 220)
    share = level / max(level.max(), 1e-9)
    rgba[..., 3] = np.rint(255 * np.where(counts.T[::-1] > 0, 0.08 + 0.92 * share, 0))
    return _encoded(Image.fromarray(rgba), "png")


def common_limits(shown: Sequence[ShownImage]) -> tuple[tuple[float, float], float]:
    """Nearest and farthest depth, and the greatest log error, of scales for all these images."""
    maps = [each for one in shown for each in (one.true, *one.predictions.values())]
    worst = [error_limit(_last(one), _known(one)) for one in shown]
    return depth_limits(*maps), max(worst, default=0.1)


def depth_picture(depth: np.ndarray, limits: tuple[float, float], alt: str) -> Html:
    """A depth map in colour, (h, w) metres."""
    return exact(colour_depth(depth, limits=limits), alt)


def error_picture(shown: ShownImage, limit: float, alt: str) -> Html:
    """The log error of the last prediction at the pixels that count, in colour."""
    return exact(colour_error(_last(shown), _known(shown), limit=limit), alt)


def depth_bar(limits: tuple[float, float]) -> Html:
    """The colour bar of `depth_picture`."""
    return _bar(depth_scale(limits), "depth, metres (log scale); grey: not known")


def error_bar(limit: float) -> Html:
    """The colour bar of `error_picture`."""
    return _bar(error_scale(limit), "log error: predicted / true")


def _last(shown: ShownImage) -> np.ndarray:
    return list(shown.predictions.values())[-1]


def _known(shown: ShownImage) -> np.ndarray:
    return np.where(shown.where, shown.true, np.nan)


def _bar(scale: Scale, label: str) -> Html:
    ramp = np.ascontiguousarray(scale.colours.reshape(1, -1, 3))
    marks = [
        tag("span", name, style=Html(f"left:{100 * place:.1f}%"), class_=_side(place))
        for name, place in _spaced(scale.marks)
    ]
    image = tag("img", src=_encoded(Image.fromarray(ramp), "png"), alt="")
    return tag("figure", tag("figcaption", label), image, tag("div", marks), class_="bar-scale")


def _spaced(marks: dict[str, float]) -> list[tuple[str, float]]:
    """The marks that leave room for their labels, first ones first."""
    kept: list[tuple[str, float]] = []
    for name, place in marks.items():
        letters = (len(name) + len(other) for other, _ in kept)
        room = (0.02 + 0.009 * both for both in letters)  # of the bar on a narrow screen
        if all(abs(place - at) > least for (_, at), least in zip(kept, room, strict=True)):
            kept.append((name, place))
    return kept


def _side(place: float) -> str:
    return "first" if place < 0.06 else "last" if place > 0.94 else "mid"


def _encoded(image: Image.Image, kind: str) -> Html:
    buffer = io.BytesIO()
    options = {"quality": 85} if kind == "jpeg" else {"optimize": True}
    image.save(buffer, kind, **options)
    return image_uri(kind, base64.b64encode(buffer.getvalue()).decode())
