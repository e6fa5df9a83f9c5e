"""`depthsi demo`: serves the application on a port of this machine."""

import contextlib
import ipaddress
import socket

import numpy as np

from depthsi.errors import DepthsiError
from depthsi.output import say
from depthsi.predictor import load
from depthsi.weights.shipped import DEFAULT

LOOPBACK = ("localhost", "127.0.0.1", "[::1]", "::1")


def serve(model: str, host: str, port: int) -> None:
    """Serves the page until it is stopped.

    Args:
      model: argument of `depthsi.load`; empty for its default.
      host: name or address to listen on.
      port: port to listen on; 0 chooses a free one.

    Raises:
      DepthsiError: the extra `demo` is not installed, the model cannot be loaded, or the port is
        not available.
    """
    try:
        import uvicorn

        from depthsi.demo.app import make_app
    except ModuleNotFoundError as error:
        raise DepthsiError(f"The demo needs {error.name}: pip install 'depthsi[demo]'.") from None
    model = model or DEFAULT
    predictor = load(model)
    with _listening(host, port) as listener:
        predictor(np.zeros((480, 640, 3), np.uint8))  # compiled before the first photo comes
        here = _is_loopback(host)
        app = make_app(predictor, model, LOOPBACK if here else ("*",))
        port = listener.getsockname()[1]
        say(f"Open http://{f'[{host}]' if ':' in host else host}:{port}/ (stop with Ctrl-C)")
        if not here:
            say("Everyone who can reach this machine can use the page: it has no password.")
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=2)
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DepthsiError(
            f"--host {host} --port {port}: {reason}; choose another with --port."
        ) from None


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
