"""Serves metrics over HTTP on this machine's loopback address."""

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sji_edge.core.errors import UsageError
from sji_edge.inspection.observe.status_formats import CONTENT_TYPE

ADDRESS = "127.0.0.1"
TIMEOUT_S = 5.0


class MetricsServer:
    """Serves ``/metrics`` on the loopback address, in its own thread.

    Args:
        port: port to listen on; 0 takes a free one, see ``port``.
        text: returns the metrics; called for each request, in another thread.

    Raises:
        UsageError: the port is in use or not permitted.
    """

    def __init__(self, port: int, text: Callable[[], str]) -> None:
        class Handler(_Handler):
            metrics = staticmethod(text)

        try:
            self._server = _Server((ADDRESS, port), Handler)
        except OSError as error:
            raise UsageError(
                f"cannot serve metrics on {ADDRESS}:{port}: {error.strerror}",
                hint="choose another port for the metrics",
            ) from error
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="metrics", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port that the server listens on."""
        return int(self._server.server_address[1])

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Ignore a client that leaves before it has its answer: the terminal belongs to the run."""


class _Handler(BaseHTTPRequestHandler):
    metrics: Callable[[], str]
    timeout = TIMEOUT_S

    def do_GET(self) -> None:
        """Answer ``/metrics``; everything else is 404."""
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404, "the metrics are at /metrics")
            return
        body = type(self).metrics().encode()
        self.send_response(200)
        self.send_header("Content-Type", CONTENT_TYPE)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing: the terminal belongs to the run."""
