"""Small videos for tests, written with PyAV, which those who call `write_clip` need."""

from fractions import Fraction
from typing import Any

import numpy as np

RATE = 25


def pictures(count, height=48, width=64):
    """Smooth, so that H.264 keeps them, and each of another brightness."""
    rows, cols = np.linspace(0, 1, height)[:, None], np.linspace(0, 1, width)
    for index in range(count):
        red = 20 + 60 * rows + 90 * cols + 80 * index / count
        yield np.stack([red, red, red], -1).astype(np.uint8)


def write_clip(path, images, *, stamps=None, turned=None, sound=False, codec="libx264"):
    """A video of these images; `stamps` in milliseconds."""
    import av

    images = list(images)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=RATE, options={"crf": "5"})
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv444p" if stream.width % 2 else "yuv420p"
        if turned:
            stream.set_display_rotation(*turned)
        if stamps:
            stream.codec_context.time_base = Fraction(1, 1000)
        audio = container.add_stream("aac", rate=8000) if sound else None
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            if stamps:
                frame.pts, frame.time_base = stamps[index], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio:
            add_silence(container, audio)
    return path


def add_silence(container, stream):
    import av

    samples = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), "fltp", "mono")
    samples.rate = 8000
    container.mux(stream.encode(samples))
    container.mux(stream.encode())
