"""Downloads weights files from the Hugging Face Hub or a web server, and caches them.

These files are read like any weights file: as arrays and settings, never as code.
"""

import hashlib
import http.client
import ipaddress
import os
import re
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

from depthsi.compile_cache import cache_home
from depthsi.errors import DepthsiError
from depthsi.files import write_bytes
from depthsi.weights.network_file import SUFFIX

HUB = "hf://"
DEFAULT_FILE = "weights.safetensors"
MOST_BYTES = 2**30
TIMEOUT = 30.0  # seconds without a byte
_NAME = re.compile(
    r"(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w.-]+))?(?:/(?P<file>[\w./-]+))?", re.ASCII
)


def is_remote(model: str | os.PathLike[str]) -> bool:
    """Whether `model` is an address for `fetch` rather than a path."""
    return str(model).startswith((HUB, "https://", "http://"))


def fetch(model: str) -> Path:
    """The local copy of a weights file, which is downloaded once.

    Args:
      model: `hf://USER/REPOSITORY`, with `@REVISION` and `/FILE.safetensors` if they are not main
        and weights.safetensors; or the address of a file that ends in .safetensors, over https.

    Raises:
      DepthsiError: the address is not supported, there is no such file or no network, or
        huggingface_hub is not installed.
    """
    return _from_hub(model) if model.startswith(HUB) else _from_server(model)


def _from_hub(model: str) -> Path:
    found = _NAME.fullmatch(model.removeprefix(HUB))
    file = (found and found["file"]) or DEFAULT_FILE
    if found is None or not file.endswith(SUFFIX) or ".." in file.split("/"):
        raise DepthsiError(
            f"{model} is not an address of weights on the hub: write hf://USER/REPOSITORY or"
            " hf://USER/REPOSITORY@REVISION/FILE.safetensors."
        )
    try:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    except ModuleNotFoundError:
        raise DepthsiError(
            f"{model}: the hub needs huggingface_hub; pip install 'depthsi[hub]'."
        ) from None
    try:
        path = hf_hub_download(
            found["repo"],
            file,
            revision=found["revision"],
            endpoint=os.environ.get("HF_ENDPOINT"),
        )
    except (HfHubHTTPError, HFValidationError, OSError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".")
        raise DepthsiError(f"{model} could not be downloaded: {reason}.") from None
    return Path(path)


def _from_server(url: str) -> Path:
    parts = urlsplit(url)
    if not parts.path.endswith(SUFFIX):
        raise DepthsiError(f"{url} does not end in {SUFFIX}; other files are not loaded.")
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise DepthsiError(f"{url}: weights are only downloaded over https.")
    path = (
        cache_home()
        / "depthsi"
        / "weights"
        / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}{SUFFIX}"
    )
    if path.exists():
        return path
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as answer:
            data = answer.read(MOST_BYTES + 1)
            expected = answer.headers.get("Content-Length", str(len(data)))
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        reason = getattr(error, "reason", None) or error
        raise DepthsiError(f"{url} could not be downloaded: {reason}.") from None
    if len(data) > MOST_BYTES or str(len(data)) != expected:
        raise DepthsiError(f"{url} was cut short, or is larger than {MOST_BYTES // 2**20} MB.")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, data)
    return path


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
