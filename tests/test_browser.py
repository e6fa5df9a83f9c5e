"""The pages in a real browser: demo, points and report, as people use them. Needs Chromium."""

import contextlib
import shutil
import socket
import threading

import numpy as np
import pytest
from pictures import smooth_picture
from PIL import Image
from report_runs import made_run
from test_demo import Stand

playwright = pytest.importorskip("playwright.sync_api")
uvicorn = pytest.importorskip("uvicorn")

from depthsi.demo.app import make_app  # noqa: E402
from depthsi.report.write import write_report  # noqa: E402
from depthsi.viz.viewer import write_viewer  # noqa: E402

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed"),
    pytest.mark.filterwarnings("default"),  # of the browser's driver
]
SIZES = [(390, 844), (1440, 900)]


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser):
    """An empty page; what it logs as an error fails the test."""
    errors = []
    page = browser.new_page(accept_downloads=True)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.allowed = errors
    yield page
    page.close()
    assert not errors


@pytest.fixture(scope="module")
def address():
    """Of a demo whose network reads depth from red."""
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stop:
        server = uvicorn.Server(uvicorn.Config(make_app(Stand(), "a stand-in"), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        stop.callback(thread.join, 20)
        stop.callback(setattr, server, "should_exit", True)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(smooth_picture(120, 160)).save(path)
    return path


def no_sideways_scrolling(page):
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def drawn(page):
    """The pixels of the page's canvas."""
    return page.evaluate("document.querySelector('canvas').toDataURL()")


@pytest.mark.parametrize("size", SIZES)
def test_the_demo(page, address, photo, tmp_path, size):
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(address)
    no_sideways_scrolling(page)
    page.set_input_files("#file", photo)
    page.wait_for_selector("#result:not([hidden])")
    no_sideways_scrolling(page)
    image = smooth_picture(120, 160)
    expected = Stand()(image)
    before = drawn(page)
    page.locator("#blend").fill("0")
    assert drawn(page) != before

    box = page.locator("canvas").bounding_box()
    at = {"x": box["width"] * 100.5 / 160, "y": box["height"] * 60.5 / 120}
    page.locator("canvas").hover(position=at)
    assert page.locator("#cursor").inner_text() == f"{expected[60, 100]:.2f} m"
    page.locator("canvas").click(position=at)
    page.locator("#metres").fill("5")
    page.locator("#form button", has_text="Set").click()
    page.locator("canvas").hover(position=at)
    assert page.locator("#cursor").inner_text() == "5.00 m"
    with page.expect_download() as download:
        page.locator("#npy").click()
    download.value.save_as(tmp_path / "depth.npy")
    factor = 5 / expected[60, 100]
    np.testing.assert_allclose(np.load(tmp_path / "depth.npy"), factor * expected, rtol=1e-6)

    page.locator("canvas").hover(position={"x": at["x"], "y": 0})
    assert page.locator("#cursor").inner_text() == "unknown"
    with page.expect_popup() as popup:
        page.locator("#points").click()
    popup.value.wait_for_selector("canvas")
    assert "points" in popup.value.locator("header").inner_text()
    page.locator("#known button").click()
    page.locator("canvas").hover(position=at)
    assert page.locator("#cursor").inner_text() == f"{expected[60, 100]:.2f} m"


def test_the_demo_by_keyboard_and_with_two_known_points(page, address, photo):
    page.goto(address)
    page.set_input_files("#file", photo)
    page.wait_for_selector("#result:not([hidden])")
    expected, factors = Stand()(smooth_picture(120, 160)), []
    canvas = page.locator("canvas")
    canvas.focus()
    for metres, presses, (row, column) in ((3, 0, (60, 80)), (8, 5, (60, 95))):
        canvas.focus()
        for _ in range(presses):
            page.keyboard.press("ArrowRight")
        page.keyboard.press("Enter")
        page.locator("#metres").fill(str(metres))
        page.keyboard.press("Enter")
        factors.append(metres / expected[row, column])
    factor = np.exp(np.mean(np.log(factors)))  # the mean log ratio
    assert f"Factor: {factor:.2f}" in page.locator("#known").inner_text()


def test_the_demo_says_what_is_wrong(page, address, tmp_path):
    page.goto(address)
    (tmp_path / "text.png").write_text("not a photo")
    page.set_input_files("#file", tmp_path / "text.png")
    page.wait_for_function("document.querySelector('#status').innerText.includes('neither')")
    assert page.locator("#result").is_hidden()
    page.allowed.clear()  # the browser logs that the answer was a refusal


@pytest.mark.parametrize("size", SIZES)
def test_points_turn_with_a_drag(page, tmp_path, size):
    image = smooth_picture(60, 80)
    write_viewer(tmp_path / "points.html", 2 + image[..., 0] / 255.0, image, 70.0, "points")
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto((tmp_path / "points.html").as_uri())
    page.wait_for_timeout(300)
    before = drawn(page)
    no_sideways_scrolling(page)
    box = page.locator("canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 60, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert drawn(page) != before


@pytest.mark.parametrize("size", SIZES)
def test_the_report(page, tmp_path, size):
    """Its curves are there, nothing comes from elsewhere, and it fits the window."""
    write_report([str(made_run(tmp_path / "run").path)])
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto((tmp_path / "run" / "report.html").as_uri())
    assert page.locator("svg polyline, svg path").count() > 2
    no_sideways_scrolling(page)
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]
