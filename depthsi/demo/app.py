"""The demo as a web application: a page, and the depth of the photos that it sends.

Photos are only kept in memory until the response is sent; only the orientation of their EXIF data
is read. Pages of other sites cannot use the application: requests need a header that browsers send
across sites only if the application allows it, which it does not.
"""

import json
import math
from collections.abc import Callable, Mapping
from importlib import resources
from typing import Any

import numpy as np
from anyio import CapacityLimiter, to_thread
from jaxtyping import Float, UInt8
from PIL import Image
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from depthsi.data.formats.images import decode_image
from depthsi.errors import DepthsiError
from depthsi.predictor import Predictor
from depthsi.viz.viewer import viewer_page

MOST_BYTES = 30 * 2**20  # of a photo
LONGEST = 1024  # pixels of a side of what is predicted and shown
MOST_WAITING = 16  # photos; who comes then is asked to come again
ASKED = "x-depthsi"  # header of the page's own requests
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline';"
        " img-src blob: data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
}


class RefusedError(Exception):
    """A rejected request, with the status and the message of the response."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


def make_app(predictor: Predictor, name: str, hosts: tuple[str, ...] = ("*",)) -> Starlette:
    """The application.

    Args:
      predictor: the predictor to use.
      name: name of the network, shown on the page.
      hosts: host names under which it may be reached; "*" for any.

    Returns:
      An ASGI application. `GET /` is the page. `POST /predict` takes the bytes of a photo and
      answers with float32 metres, little-endian, row by row, and their size in the header
      X-Depthsi. `POST /points?factor=1.5` answers with a page of points.
    """
    one_at_a_time, waiting = CapacityLimiter(1), [0]

    async def in_turn(work: Callable[[], Response]) -> Response:
        if waiting[0] >= MOST_WAITING:
            raise RefusedError(503, "Too many photos are waiting: try again in a moment.")
        waiting[0] += 1
        try:
            return await to_thread.run_sync(work, limiter=one_at_a_time)
        finally:
            waiting[0] -= 1

    async def page(request: Request) -> Response:
        text = resources.files("depthsi.demo").joinpath("page.html").read_text("utf-8")
        about = json.dumps({"name": name, "most": MOST_BYTES}).replace("<", "\\u003c")
        return HTMLResponse(text.replace("{{ABOUT}}", about), headers=HEADERS)

    async def predict(request: Request) -> Response:
        data = await _photo(request)
        return await in_turn(lambda: _depth_response(predictor, data))

    async def points(request: Request) -> Response:
        factor = _factor(request.query_params)
        data = await _photo(request)
        return await in_turn(lambda: _points_response(predictor, data, factor))

    return Starlette(
        routes=[
            Route("/", page),
            Route("/predict", predict, methods=["POST"]),
            Route("/points", points, methods=["POST"]),
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))],
        exception_handlers={
            RefusedError: _refused,
            DepthsiError: _refused,
            ClientDisconnect: _gone,
        },
    )


def shown(data: bytes) -> UInt8[np.ndarray, "H W 3"]:
    """The photo upright and at most `LONGEST` pixels wide and high.

    Raises:
      DepthsiError: the data is not a photo, is damaged, or has too many pixels.
    """
    image = decode_image(data, "The photo", exif=True)
    longest = max(image.shape[:2])
    if longest <= LONGEST:
        return image
    height, width = (max(1, round(side * LONGEST / longest)) for side in image.shape[:2])
    return np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling.BOX))


def _depth_response(predictor: Predictor, data: bytes) -> Response:
    depth = predictor(shown(data))
    about = {"height": depth.shape[0], "width": depth.shape[1]}
    return Response(
        depth.astype("<f4").tobytes(),
        media_type="application/octet-stream",
        headers=HEADERS | {"X-Depthsi": json.dumps(about)},
    )


def _points_response(predictor: Predictor, data: bytes, factor: float) -> Response:
    image = shown(data)
    depth: Float[np.ndarray, "H W"] = factor * predictor(image)
    focal = predictor.sizes.focal_length((depth.shape[0], depth.shape[1]))
    return HTMLResponse(viewer_page(depth, image, focal, "Your photo"), headers=HEADERS)


async def _photo(request: Request) -> bytes:
    if ASKED not in request.headers:
        raise RefusedError(403, f"Requests need the header {ASKED}.")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise RefusedError(413, f"The photo is larger than {MOST_BYTES // 2**20} MB.")
        parts.append(part)
    return b"".join(parts)


def _factor(query: Mapping[str, str]) -> float:
    text = query.get("factor", "1")
    try:
        factor = float(text)
    except ValueError:
        factor = math.nan
    if not 1e-3 <= factor <= 1e3:
        raise RefusedError(400, f"The factor is {text!r}; it must be from 0.001 to 1000.")
    return factor


async def _refused(request: Request, error: Any) -> Response:
    status = error.status if isinstance(error, RefusedError) else 400
    return PlainTextResponse(str(error), status, headers=HEADERS)


async def _gone(request: Request, error: Any) -> Response:
    return PlainTextResponse("", 400)
