"""The demo: answers, refusals, and the command that serves it."""

import io
import json
import os
import socket
import subprocess
import sys
import threading
import urllib.request

import numpy as np
import pytest
from pictures import smooth_picture
from PIL import Image

pytest.importorskip("starlette")
testclient = pytest.importorskip("starlette.testclient")

import depthsi  # noqa: E402
from depthsi.cli import main  # noqa: E402
from depthsi.demo import app as demo  # noqa: E402
from depthsi.photos import as_rgb  # noqa: E402

ASK = {"X-Depthsi": "1"}


class Stand(depthsi.Predictor):
    """In the place of a predictor: depth is 1 m plus what red says; none in the first row."""

    running: list[int]
    most: list[int]

    def __init__(self):
        object.__setattr__(self, "running", [])
        object.__setattr__(self, "most", [0])

    @property
    def sizes(self):
        return depthsi.geometry.nyu()

    def __call__(self, image):  # pyright: ignore[reportIncompatibleMethodOverride]
        self.running.append(1)
        self.most.append(len(self.running))
        depth = 1 + as_rgb(image)[..., 0].astype(np.float32) / 100
        depth[0] = np.nan
        self.running.pop()
        return depth


@pytest.fixture
def predictor():
    return Stand()


@pytest.fixture
def client(predictor):
    app = demo.make_app(predictor, "a <b> network", ("localhost", "testserver"))
    with testclient.TestClient(app) as client:
        yield client


def file_of(image, kind="PNG", **options):
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind, **options)
    return file.getvalue()


def depth_of(answer):
    assert answer.status_code == 200, answer.text
    about = json.loads(answer.headers["x-depthsi"])
    return np.frombuffer(answer.content, "<f4").reshape(about["height"], about["width"])


def test_the_page(client):
    answer = client.get("/")
    assert answer.status_code == 200
    assert "a \\u003cb> network" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


def test_a_photo_is_answered_with_its_depth(client, predictor):
    image = smooth_picture(90, 120)
    depth = depth_of(client.post("/predict", content=file_of(image), headers=ASK))
    np.testing.assert_array_equal(depth, predictor(image))


def test_a_photo_is_turned_upright_and_made_smaller(client):
    image = smooth_picture(1500, 2400)
    exif = Image.Exif()
    exif[274] = 6  # to be turned clockwise
    data = file_of(image, "JPEG", exif=exif, quality=95)
    depth = depth_of(client.post("/predict", content=data, headers=ASK))
    assert depth.shape == (1024, 640)
    turned = np.asarray(Image.fromarray(np.rot90(image, -1)).resize((640, 1024)), float)
    assert np.abs(depth[5:-5, 5:-5] - (1 + turned[5:-5, 5:-5, 0] / 100)).mean() < 0.05


def test_points_carry_the_factor(client, predictor):
    image = smooth_picture(30, 40)
    pages = [
        client.post(f"/points?factor={factor}", content=file_of(image), headers=ASK).text
        for factor in (1, 2)
    ]
    pivots = [json.loads(page.split('id="about">')[1].split("<")[0])["pivot"] for page in pages]
    np.testing.assert_allclose(pivots[0], np.nanmedian(predictor(image)), rtol=1e-3)
    np.testing.assert_allclose(pivots[1], 2 * pivots[0], rtol=1e-3)


@pytest.mark.parametrize(
    ("path", "content", "headers", "status", "said"),
    [
        ("/predict", b"not a photo", ASK, 400, "The photo is neither JPEG nor PNG"),
        ("/predict", b"", ASK, 400, "The photo"),
        ("/predict", file_of(smooth_picture(90, 120))[:500], ASK, 400, "The photo"),
        ("/predict", b"x", {}, 403, "x-depthsi"),
        ("/predict", b"\xff" * (demo.MOST_BYTES + 1), ASK, 413, "larger than 30 MB"),
        ("/points?factor=0", b"", ASK, 400, "from 0.001 to 1000"),
        ("/points?factor=nan", b"", ASK, 400, "from 0.001 to 1000"),
        ("/points?factor=x", b"", ASK, 400, "from 0.001 to 1000"),
        ("/predict", b"x", ASK | {"Host": "elsewhere.example"}, 400, "Invalid host"),
    ],
)
def test_refusals(client, path, content, headers, status, said):
    answer = client.post(path, content=content, headers=headers)
    assert answer.status_code == status
    assert said in answer.text
    assert "Traceback" not in answer.text


def test_photos_are_computed_one_at_a_time_and_not_without_end(client, predictor, monkeypatch):
    started, go = threading.Semaphore(0), threading.Event()
    compute = Stand.__call__

    def wait(self, image):
        started.release()
        go.wait(20)
        return compute(self, image)

    monkeypatch.setattr(Stand, "__call__", wait)
    data, answers = file_of(smooth_picture(30, 40)), []

    def ask():
        answers.append(client.post("/predict", content=data, headers=ASK).status_code)

    threads = [threading.Thread(target=ask) for _ in range(demo.MOST_WAITING + 2)]
    for thread in threads:
        thread.start()
    started.acquire(timeout=20)
    while 503 not in answers and any(thread.is_alive() for thread in threads):
        threads[0].join(0.01)
    go.set()
    for thread in threads:
        thread.join(20)
    assert max(predictor.most) == 1
    assert answers.count(503) == 2
    assert answers.count(200) == demo.MOST_WAITING


def test_a_taken_port_is_named(monkeypatch, capsys):
    monkeypatch.setattr("depthsi.demo.serve.load", lambda model: Stand())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SystemExit) as stopped:
            main(["demo", "--port", str(port)])
    assert stopped.value.code == 2
    assert f"--port {port}" in capsys.readouterr().err


def test_without_the_extra_the_remedy_is_named(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit):
        main(["demo"])
    assert "pip install 'depthsi[demo]'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_serves_until_it_is_stopped(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-m", "depthsi", "demo", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().split()[1]
            assert address.startswith("http://127.0.0.1:")
            with urllib.request.urlopen(address) as page:
                assert b"Depth of a photo" in page.read()
            request = urllib.request.Request(
                f"{address}predict", file_of(smooth_picture(240, 320)), ASK, method="POST"
            )
            with urllib.request.urlopen(request) as answer:
                depth = np.frombuffer(answer.read(), "<f4").reshape(240, 320)
            assert 0.3 < np.nanmedian(depth) < 20
        finally:
            process.terminate()
        assert process.wait(20) in (0, -15, 143)
