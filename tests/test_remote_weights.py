"""Weights from the hub and from a web server: a local one stands in for both."""

import dataclasses
import gc
import hashlib
import http.server
import threading
from pathlib import Path
from typing import ClassVar

import jax
import numpy as np
import pytest
from made_up_networks import made_up_network

import depthsi
from depthsi.errors import DepthsiError
from depthsi.weights import remote

pytestmark = pytest.mark.filterwarnings(  # of the stand-in's sockets
    "default::pytest.PytestUnraisableExceptionWarning"
)
COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def network():
    return made_up_network(step=3)


class Server(http.server.BaseHTTPRequestHandler):
    """Files by path, with the headers by which the hub's client knows versions."""

    files: ClassVar[dict[str, bytes]] = {}
    asked: ClassVar[list[tuple[str, str]]] = []

    def do_HEAD(self):
        self.answer()

    def do_GET(self):
        data = self.answer()
        self.wfile.write(data[: len(data) // 2] if "cut" in self.path else data)

    def answer(self):
        self.asked.append((self.command, self.path))
        data = self.files.get(self.path)
        self.send_response(404 if data is None else 200)
        data = data or b""
        if data:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(data).hexdigest()}"')
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return data

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(network, tmp_path, monkeypatch):
    depthsi.write_network(tmp_path / "weights.safetensors", network)
    data = (tmp_path / "weights.safetensors").read_bytes()
    Server.files = {
        "/user/repo/resolve/main/weights.safetensors": data,
        "/user/repo/resolve/v2/other/net.safetensors": data,
        "/there/net.safetensors": data,
        "/there/cut.safetensors": data,
        "/there/evil.safetensors": b"not weights",
    }
    Server.asked = []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setenv("HF_ENDPOINT", address)
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
        hub = pytest.importorskip("huggingface_hub.constants")
        monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path / "hub"))
        yield address
        server.shutdown()
    gc.collect()  # what refused and cut connections leave, here and not in a later test


@pytest.mark.parametrize("name", ["hf://user/repo", "hf://user/repo@v2/other/net.safetensors"])
def test_weights_from_the_hub(server, network, name):
    predictor = depthsi.load(name)
    assert isinstance(predictor.network, depthsi.TrainedNetwork)
    assert predictor.network.settings == network.settings
    jax.tree.map(np.testing.assert_array_equal, dict(predictor.network.params), network.params)
    before = [what for what in Server.asked if what[0] == "GET"]
    depthsi.load(name)
    assert [what for what in Server.asked if what[0] == "GET"] == before  # kept


def test_weights_from_an_address(server, network):
    predictor = depthsi.load(f"{server}/there/net.safetensors")
    assert isinstance(predictor.network, depthsi.TrainedNetwork)
    assert dataclasses.replace(predictor.network, params={}) == dataclasses.replace(
        network, params={}
    )
    asked = len(Server.asked)
    depthsi.load(f"{server}/there/net.safetensors")
    assert len(Server.asked) == asked


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hf://user", "is not an address of weights"),
        ("hf://user/repo/model.pkl", "is not an address of weights"),
        ("hf://user/repo/../x.safetensors", "is not an address of weights"),
        ("hf://user/none", "could not be downloaded"),
        ("{server}/there/none.safetensors", "could not be downloaded"),
        ("{server}/there/model.pkl", "does not end in .safetensors"),
        ("{server}/there/cut.safetensors", "could not be downloaded|was cut short"),
        ("http://example.org/net.safetensors", "only downloaded over https"),
        ("https://127.0.0.1:9/net.safetensors", "could not be downloaded"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(server, name, said):
    with pytest.raises(DepthsiError, match=said) as raised:
        depthsi.load(name.format(server=server))
    assert "\n" not in str(raised.value)


def test_what_is_no_weights_is_refused_and_not_executed(server):
    with pytest.raises(DepthsiError, match=r"\.safetensors"):
        depthsi.load(f"{server}/there/evil.safetensors")


def test_names_on_servers_are_told_from_paths():
    names = ("hf://a/b", "https://x/y.safetensors", "runs/rooms", Path("hf:") / "x")
    assert [remote.is_remote(name) for name in names] == [True, True, False, False]
