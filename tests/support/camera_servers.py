"""Cameras of the network on loopback: motion JPEG over HTTP(S), and RTSP with RTP/JPEG (RFC 2326, RFC 2435)."""

import base64
import contextlib
import hashlib
import http.server
import itertools
import socketserver
import struct
import threading
import time
import urllib.request

from support.stream_material import SIZE, jpeg

LEVELS = (60, 120, 180)
PERIOD_S = 0.01


class _Server:
    """Serves on loopback until it is stopped; stopping cuts the connections, as a lost camera does."""

    def __init__(
        self,
        handler,
        port=0,
        *,
        frames=None,
        cut=False,
        silent_after=None,
        credentials="",
        digest=False,
        tls=None,
    ):
        self._handler, self._tls, self._digest = handler, tls, digest
        self.settings = (frames, cut, silent_after, credentials)
        self.asked = []
        self.start(port)

    def start(self, port=0):
        self.stopped = threading.Event()
        owner = self

        class Handler(self._handler):
            camera = owner

        class Listener(socketserver.ThreadingTCPServer):
            allow_reuse_address = True
            daemon_threads = True

            def handle_error(self, request, client_address):
                pass

        self._listener = Listener(("127.0.0.1", port), Handler)
        if self._tls:
            self._listener.socket = self._tls.wrap_socket(self._listener.socket, server_side=True)
        self.port = self._listener.server_address[1]
        threading.Thread(target=self._listener.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def stop(self):
        self.stopped.set()
        self._listener.shutdown()
        self._listener.server_close()

    @property
    def challenge(self):
        return 'Digest realm="camera", nonce="abc", qop="auth"' if self._digest else 'Basic realm="camera"'

    def authorized(self, header, method="GET"):
        """RFC 7617 and RFC 7616 (MD5)."""
        credentials = self.settings[3]
        if not credentials or not self._digest:
            return not credentials or header == "Basic " + base64.b64encode(credentials.encode()).decode()
        if not (header or "").startswith("Digest "):
            return False
        said = urllib.request.parse_keqv_list(urllib.request.parse_http_list(header.removeprefix("Digest ")))
        user, _, password = credentials.partition(":")
        secret, asked = _md5(f"{user}:camera:{password}"), _md5(f"{method}:{said['uri']}")
        counted = f"{said['nonce']}:{said['nc']}:{said['cnonce']}:{said['qop']}"
        return said["response"] == _md5(f"{secret}:{counted}:{asked}")

    def images(self):
        """Yield ``(image, whole)`` until stopped."""
        frames, cut, silent_after, _ = self.settings
        for number in itertools.count():
            if self.stopped.is_set() or number == frames:
                return
            if number == silent_after:
                self.stopped.wait()
                return
            yield jpeg(LEVELS[number % len(LEVELS)]), not (cut and number == frames - 1)
            time.sleep(PERIOD_S)


def _md5(text):
    return hashlib.md5(text.encode()).hexdigest()


class _Http(http.server.BaseHTTPRequestHandler):
    with_length = True

    def log_message(self, *arguments):
        pass

    def do_GET(self):
        self.camera.asked.append((self.path, self.headers.get("Authorization")))
        if not self.camera.authorized(self.headers.get("Authorization")):
            self.send_response(401)
            self.send_header("WWW-Authenticate", self.camera.challenge)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=part")
        self.end_headers()
        for data, whole in self.camera.images():
            length = b"Content-Length: %d\r\n" % len(data) if self.with_length else b""
            self.wfile.write(b"--part\r\nContent-Type: image/jpeg\r\n" + length + b"\r\n")
            self.wfile.write(data + b"\r\n" if whole else data[: len(data) // 2])
            self.wfile.flush()


class _HttpWithoutLength(_Http):
    with_length = False


class _Rtsp(socketserver.StreamRequestHandler):
    def handle(self):
        while True:
            lines = []
            while (line := self.rfile.readline().decode().strip()) or not lines:
                if not line:
                    return
                lines.append(line)
            headers = dict(line.split(": ", 1) for line in lines[1:])
            method, url, _ = lines[0].split()
            self.camera.asked.append((method, headers.get("Authorization")))
            if method != "OPTIONS" and not self.camera.authorized(headers.get("Authorization")):
                self._answer(headers, "401 Unauthorized", 'WWW-Authenticate: Basic realm="camera"')
            elif method == "OPTIONS":
                self._answer(headers, "200 OK", "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
            elif method == "DESCRIBE":
                body = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\n"
                body += "m=video 0 RTP/AVP 26\r\na=control:track0\r\n"
                self._answer(
                    headers, "200 OK", f"Content-Base: {url}/", "Content-Type: application/sdp", body=body
                )
            elif method == "SETUP":
                self._answer(
                    headers, "200 OK", "Session: 1", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"
                )
            elif method == "PLAY":
                self._answer(headers, "200 OK", "Session: 1")
                self._play()
                return
            else:
                self._answer(headers, "200 OK")

    def _answer(self, request, status, *headers, body=""):
        lines = [f"RTSP/1.0 {status}", f"CSeq: {request['CSeq']}", *headers, f"Content-Length: {len(body)}"]
        self.wfile.write("\r\n".join([*lines, "", body]).encode())

    def _play(self):
        numbers = itertools.count()
        for frame, (data, _) in enumerate(self.camera.images()):
            tables, scan = _jpeg_parts(data)
            pieces = [scan[at : at + 1200] for at in range(0, len(scan), 1200)]
            offset = 0
            for piece in pieces:
                last = offset + len(piece) == len(scan)
                header = struct.pack(">I", offset) + bytes([1, 255, SIZE[0] // 8, SIZE[1] // 8])
                if offset == 0:
                    header += struct.pack(">BBH", 0, 0, len(tables)) + tables
                rtp = struct.pack(">BBHII", 0x80, 26 | last << 7, next(numbers) & 0xFFFF, 900 * frame, 7)
                packet = rtp + header + piece
                self.wfile.write(struct.pack(">cBH", b"$", 0, len(packet)) + packet)
                offset += len(piece)


def _jpeg_parts(data):
    """Return a JPEG file's quantization tables and its entropy-coded data."""
    tables, at = b"", 2
    while True:
        marker, length = data[at + 1], struct.unpack(">H", data[at + 2 : at + 4])[0]
        segment = data[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xDB:
            while segment:
                tables, segment = tables + segment[1:65], segment[65:]
        if marker == 0xDA:
            return tables, data[at:-2]


@contextlib.contextmanager
def serving(kind, **settings):
    """A camera of a kind: ``http``, ``http-without-length`` or ``rtsp``."""
    handlers = {"http": _Http, "http-without-length": _HttpWithoutLength, "rtsp": _Rtsp}
    server = _Server(handlers[kind], **settings)
    try:
        yield server
    finally:
        server.stop()
