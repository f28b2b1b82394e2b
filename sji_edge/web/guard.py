"""What every request passes first: its host, its size and its pace; and what every answer carries."""

import asyncio
from collections.abc import Iterable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

MAX_BODY_BYTES = 256 << 10
BODY_TIMEOUT_S = 10.0
MAX_PATH, MAX_QUERY = 200, 4000
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    # With no-referrer, browsers send "Origin: null" with the login form, which the check of the origin refuses.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}


class RefusedError(Exception):
    """A request is refused: the answer's status and one line that says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class RequestGuard:
    """Wraps an application: checks the host, bounds each body in size and time, and adds the security headers.

    Args:
        app: the application.
        hosts: values of the ``Host`` header that mean this station. Another one is a stranger's name that leads here
            (DNS rebinding).
        secure: the station is reached through TLS, so browsers shall never use anything else.
        body_timeout_s: within this time a body must have arrived.
    """

    def __init__(
        self,
        app: ASGIApp,
        hosts: Iterable[str],
        *,
        secure: bool = False,
        body_timeout_s: float = BODY_TIMEOUT_S,
    ) -> None:
        self._app = app
        self._hosts = frozenset(host.lower() for host in hosts)
        self._timeout_s = body_timeout_s
        self._headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        if secure:
            self._headers.append((b"strict-transport-security", b"max-age=31536000"))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            # There are no web sockets here.
            await send({"type": "websocket.close", "code": 1008})
            return
        begun = False

        async def guarded_send(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                names = {name for name, _ in message["headers"]}
                message["headers"] = [
                    *message["headers"],
                    *(header for header in self._headers if header[0] not in names),
                ]
                if b"cache-control" not in names:
                    message["headers"].append((b"cache-control", b"no-store"))
            await send(message)

        try:
            self._check(scope)
            await self._app(scope, self._bounded(receive), guarded_send)
        except RefusedError as refused:
            if not begun:
                await _answer(guarded_send, refused)
        except Exception:  # noqa: BLE001 - the application has reported it; the server would print it once more
            if not begun:
                await _answer(guarded_send, RefusedError(500, "the station failed; its terminal says why"))

    def _check(self, scope: Scope) -> None:
        hosts = [value for name, value in scope["headers"] if name == b"host"]
        if len(hosts) != 1 or hosts[0].decode("latin-1").lower() not in self._hosts:
            raise RefusedError(421, "this station is not known by that name; start it with --name")
        if len(scope["path"]) > MAX_PATH or len(scope["query_string"]) > MAX_QUERY:
            raise RefusedError(414, "the address is too long")
        lengths = [value for name, value in scope["headers"] if name == b"content-length"]
        if lengths and (not lengths[0].isdigit() or int(lengths[0][:20]) > MAX_BODY_BYTES):
            raise RefusedError(413, f"a request may have at most {MAX_BODY_BYTES} bytes")

    def _bounded(self, receive: Receive) -> Receive:
        deadline = asyncio.get_running_loop().time() + self._timeout_s
        seen, whole = 0, False

        async def bounded_receive() -> Message:
            nonlocal seen, whole
            if whole:
                # What follows the body is only the news that the client left.
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                raise RefusedError(408, "the request came too slowly") from None
            seen += len(message.get("body", b""))
            whole = not message.get("more_body", False)
            if seen > MAX_BODY_BYTES:
                raise RefusedError(413, f"a request may have at most {MAX_BODY_BYTES} bytes")
            return message

        return bounded_receive


async def _answer(send: Send, refused: RefusedError) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": f"{refused.text}\n".encode()})
