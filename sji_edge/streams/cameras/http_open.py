"""Opens an HTTP stream: one deadline for everything, no redirect, and none of the camera's words in an error."""

import functools
import http
import http.client
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from sji_edge.core.errors import SourceError


@dataclass(frozen=True)
class OpenAnswer:
    """A response whose body is still unread, and its socket."""

    body: http.client.HTTPResponse
    socket: socket.socket

    def close(self) -> None:
        """Close the connection, also while another thread reads from it."""
        cut(self.socket)
        self.body.close()


def cut(connection: socket.socket) -> None:
    """End every wait on a socket at once, in whichever thread."""
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


class _Connections:
    """The sockets of one attempt to open; authentication may need several. All are cut when the time is over."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self.late = False

    def add(self, connection: socket.socket) -> None:
        with self._lock:
            self._sockets.append(connection)
            if self.late:
                cut(connection)

    def cut_all(self) -> None:
        with self._lock:
            self.late = True
            for connection in self._sockets:
                cut(connection)

    @property
    def last(self) -> socket.socket:
        with self._lock:
            return self._sockets[-1]


def open_url(url: str, label: str, timeout_s: float) -> OpenAnswer:
    """Request a URL.

    User and password of the URL serve Basic and Digest authentication. No proxy is used, since it would receive
    them, and no redirect is followed. Nothing that the camera says reaches an error: it may echo the password.

    Args:
        url: with user and password.
        label: names the source in errors.
        timeout_s: for name resolution, connection, authentication and headers together.

    Raises:
        SourceError: no answer in time, or the camera refused.
    """
    connections = _Connections()
    bare, handlers = _with_credentials(url)
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}), _Http(connections), _Https(connections), _NoRedirect(), *handlers
    )
    call = functools.partial(opener.open, bare, timeout=timeout_s)
    answer = _within(timeout_s, call, connections)
    if isinstance(answer, urllib.error.HTTPError):
        answer.close()
        raise SourceError(f"{label} answers {answer.code}{_phrase(answer.code)}", hint=_hint(answer.code))
    if isinstance(answer, Exception) or answer is None:
        why = "no answer in time" if answer is None or connections.late else _reason(answer)
        raise SourceError(f"{label} cannot be reached: {why}", hint="check address and cable")
    return OpenAnswer(answer, connections.last)


def _within(timeout_s: float, call: Callable[[], Any], connections: _Connections) -> Any:
    """Return or raise what ``call`` does, or return None after ``timeout_s``; a later result is closed."""
    lock = threading.Lock()
    results: list[Any] = []
    given_up = threading.Event()

    def work() -> None:
        try:
            result = call()
        except (OSError, http.client.HTTPException, ValueError) as error:
            result = error
        with lock:
            results.append(result)
        if given_up.is_set() and hasattr(result, "close"):
            result.close()

    # Resolving a name cannot be interrupted, hence the thread; everything after it ends with its socket.
    thread = threading.Thread(target=work, name="open", daemon=True)
    thread.start()
    thread.join(timeout_s)
    with lock:
        if results:
            return results[0]
        given_up.set()
    connections.cut_all()
    return None


def _phrase(code: int) -> str:
    try:
        return f" {http.HTTPStatus(code).phrase}"
    except ValueError:
        return ""


def _hint(code: int) -> str:
    if code in (401, 403):
        return "check user and password"
    return "name the address that it redirects to" if 300 <= code < 400 else "check the path"


def _reason(error: Exception) -> str:
    """Say why, without the error's own text: that may hold the URL."""
    inner = getattr(error, "reason", None)
    cause = inner if isinstance(inner, Exception) else error
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({cause.verify_message})"
    return getattr(cause, "strerror", None) or type(cause).__name__


def _with_credentials(url: str) -> tuple[str, list[urllib.request.BaseHandler]]:
    parts = urlsplit(url)
    credentials, at, host = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, host, parts.path or "/", parts.query, ""))
    if not at:
        return bare, []
    user, _, password = credentials.partition(":")
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    passwords.add_password(None, bare, unquote(user), unquote(password))
    return bare, [_Digest(passwords), _Basic(passwords)]


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Closes the refused connection before it asks again."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


class _Basic(urllib.request.HTTPBasicAuthHandler):
    """Closes the refused connection before it asks again."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it could lead the password to another host."""

    def redirect_request(self, *_arguments: Any, **_named: Any) -> None:
        return None


class _Http(urllib.request.HTTPHandler):
    def __init__(self, connections: _Connections) -> None:
        super().__init__()
        self._connections = connections

    def http_open(self, req: Any) -> Any:
        return self.do_open(functools.partial(_Connection, connections=self._connections), req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, connections: _Connections) -> None:
        super().__init__()
        self._connections = connections

    def https_open(self, req: Any) -> Any:
        return self.do_open(functools.partial(_TlsConnection, connections=self._connections), req)


class _Connection(http.client.HTTPConnection):
    def __init__(self, *arguments: Any, connections: _Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._connections = connections

    def connect(self) -> None:
        super().connect()
        self._connections.add(self.sock)


class _TlsConnection(http.client.HTTPSConnection):
    def __init__(self, *arguments: Any, connections: _Connections, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._connections = connections

    def connect(self) -> None:
        super().connect()
        self._connections.add(self.sock)
