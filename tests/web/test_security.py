"""What keeps strangers, other sites and hostile content out; each point of the security page is a test here."""

import re
import threading
import time
from dataclasses import replace
from http.cookies import SimpleCookie

import pytest
from support.board_records import record, rows
from support.station_client import HOST, PASSWORD, log_in, served, token_of

from sji_edge.core.decisions import Role
from sji_edge.core.errors import UsageError
from sji_edge.core.protocols import JointRecord
from sji_edge.core.verdict import Verdict
from sji_edge.records.write.sqlite import SqliteSink
from sji_edge.testing import FakeClock
from sji_edge.web.guard import MAX_BODY_BYTES
from sji_edge.web.serve import ServeRequest, address_of, check_address, host_names
from sji_edge.web.users import add_user, read_users, remove_user

ANSWER = {
    "source": 0,
    "board": 1,
    "position": 0,
    "what": "DefectRejected",
    "token": "0123456789abcdef",
}


@pytest.fixture
def guarded(request_of, users):
    with served(request_of, users) as client:
        yield client


def decisions(material):
    return rows(material.database, "SELECT who, role FROM decisions")


# Address and names.


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.1.5", "::", "station.local"])
def test_an_address_that_others_reach_needs_users(host):
    with pytest.raises(UsageError, match="without logging in"):
        check_address(ServeRequest(host=host, names=("a",)))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.3.2.1"])
def test_the_loopback_address_does_not(host):
    check_address(ServeRequest(host=host))


def test_a_proxy_brings_others_and_so_needs_users(users):
    with pytest.raises(UsageError, match="without logging in"):
        check_address(ServeRequest(behind_proxy=True))
    check_address(ServeRequest(behind_proxy=True, users=users, names=("station1.example.com",)))


def test_an_open_address_needs_a_name_and_a_file_with_users(users, tmp_path):
    with pytest.raises(UsageError, match="name that browsers use"):
        check_address(ServeRequest(host="0.0.0.0", users=users))
    with pytest.raises(UsageError, match="has no users"):
        check_address(ServeRequest(users=tmp_path / "absent.json"))


def test_the_address_that_is_printed_can_be_typed(users):
    assert address_of(ServeRequest(), 8700) == "http://127.0.0.1:8700/"
    named = ServeRequest(host="0.0.0.0", users=users, names=("station1.example.com", "10.0.0.5"))
    assert address_of(named, 8700) == "http://station1.example.com:8700/"
    behind = ServeRequest(behind_proxy=True, users=users, names=("station1.example.com",))
    assert address_of(behind, 8700) == "https://station1.example.com/"


def test_the_station_is_known_by_its_addresses_and_names_only():
    assert host_names(ServeRequest(), 8700) == {"127.0.0.1:8700", "localhost:8700", "[::1]:8700"}
    named = host_names(ServeRequest(host="10.0.0.5", names=("line1.example.com",)), 8700)
    assert named == {"10.0.0.5:8700", "line1.example.com:8700", "line1.example.com"}


@pytest.mark.parametrize("host", ["evil.example.com:8700", "127.0.0.1", "", "127.0.0.1:8700.evil.com"])
def test_a_strangers_name_that_leads_here_is_refused(station, host):
    answer = station().get("/verify", headers={"host": host})
    assert answer.status_code == 421


# Headers.


@pytest.mark.parametrize(
    "address", ["/verify", "/static/verify.js", "/nothing", "/api/verify/queue", "/pictures/boards/0/1"]
)
def test_every_answer_has_the_strict_headers(station, address):
    headers = station().get(address).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "same-origin"


def test_pages_have_no_script_or_style_of_their_own(station, guarded):
    for text in (station().get("/verify").text, guarded().get("/login").text):
        assert not re.search(r"<script(?![^>]*\bsrc=)", text)
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|https?://", text)


def test_nothing_is_loaded_from_elsewhere(station):
    for name in ("station.css", "verify.js", "common.js", "theme.js", "icon.svg"):
        text = station().get(f"/static/{name}").text
        found = set(re.findall(r"https?://[^\s\"']+", text)) - {"http://www.w3.org/2000/svg"}
        assert found == set(), name


# Sessions.


def cookie_of(answer):
    jar = SimpleCookie(answer.headers["set-cookie"])
    return next(iter(jar.values()))


def test_the_cookie_is_not_for_scripts_nor_for_other_sites(guarded):
    cookie = cookie_of(log_in(guarded(), "ada", PASSWORD))
    assert (cookie["httponly"], cookie["samesite"].lower(), cookie["path"]) == (True, "strict", "/")
    assert len(cookie.value) >= 43


def test_behind_a_tls_proxy_the_cookie_is_for_tls_only(request_of, users):
    with served(request_of, users, secure=True) as client:
        answer = client().get("/login")
        cookie = cookie_of(answer)
        assert cookie["secure"] is True
        assert cookie.key.startswith("__Host-")
        assert "max-age" in answer.headers["strict-transport-security"]


def test_logging_in_begins_a_session_of_its_own(guarded):
    browser = guarded()
    browser.get("/login")
    planted = browser.cookies["sji"]
    log_in(browser, "ada", PASSWORD)
    assert browser.cookies["sji"] != planted
    thief = guarded()
    thief.cookies.set("sji", planted)
    assert thief.get("/api/verify/queue").status_code == 401


def test_logging_out_ends_the_session_for_everybody_who_has_the_cookie(guarded):
    browser = guarded()
    log_in(browser, "ada", PASSWORD)
    stolen = browser.cookies["sji"]
    assert browser.post("/logout", data={"csrf": token_of(browser)}).status_code == 303
    thief = guarded()
    thief.cookies.set("sji", stolen)
    assert thief.get("/api/verify/queue").status_code == 401


def test_a_session_ends_when_nobody_used_it_for_a_shift(request_of, users):
    clock = FakeClock()
    with served(request_of, users, clock=clock) as client:
        browser = client()
        log_in(browser, "ada", PASSWORD)
        clock.advance(7 * 3600)
        assert browser.get("/api/verify/queue").status_code == 200
        clock.advance(9 * 3600)
        assert browser.get("/api/verify/queue").status_code == 401


def test_a_removed_user_is_out_at_once_and_a_new_role_counts_at_once(guarded, users):
    browser = guarded()
    log_in(browser, "ada", PASSWORD)
    token = {"x-csrf-token": token_of(browser)}
    add_user(users, "ada", Role.VIEWER, PASSWORD)
    assert browser.post("/api/verify/decisions", json=ANSWER, headers=token).status_code == 403
    remove_user(users, "ada")
    assert browser.get("/api/verify/queue").status_code == 401


# Login.


def test_strangers_see_the_login_and_nothing_else(guarded):
    browser = guarded()
    assert browser.get("/verify").headers["location"] == "/login"
    addresses = [
        "/api/verify/queue",
        "/api/verify/next",
        "/api/verify/boards/0/1",
        "/api/verify/boards/0/1/0",
    ]
    addresses += ["/pictures/boards/0/1", "/pictures/joints/0/1/0", "/pictures/golden/0/1/0"]
    for address in addresses:
        assert browser.get(address).status_code == 401, address
    token = {"x-csrf-token": token_of(browser, "/login")}
    for address in ("/api/verify/decisions", "/api/verify/undo"):
        assert browser.post(address, json=ANSWER, headers=token).status_code == 401


def test_a_wrong_name_and_a_wrong_password_are_answered_alike(guarded):
    answers = [log_in(guarded(), name, "wrong password") for name in ("ada", "nobody")]
    assert {answer.status_code for answer in answers} == {401}
    texts = {re.sub(r'value="[^"]*"', "", answer.text) for answer in answers}
    assert len(texts) == 1


def test_passwords_are_kept_as_argon2id_hashes_that_only_the_owner_reads(users, tmp_path):
    found = read_users(users)
    assert {name: user.role for name, user in found.items()} == {
        "ada": Role.OPERATOR,
        "eve": Role.ENGINEER,
        "vic": Role.VIEWER,
    }
    assert all(user.hash.startswith("$argon2id$") for user in found.values())
    assert PASSWORD not in users.read_text()
    add_user(tmp_path / "new.json", "bob", Role.VIEWER, PASSWORD)
    assert (tmp_path / "new.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("name", "password"),
    [("", PASSWORD), ("../x", PASSWORD), ("a b", PASSWORD), ("ada", "short"), ("ada", "x" * 201)],
)
def test_a_name_or_password_that_does_not_fit_is_refused(tmp_path, name, password):
    with pytest.raises(UsageError):
        add_user(tmp_path / "users.json", name, Role.OPERATOR, password)


def test_guessing_is_stopped_by_name_and_by_address_and_goes_on_after_a_while(request_of, users):
    clock = FakeClock()
    with served(request_of, users, clock=clock) as client:
        for _ in range(5):
            assert log_in(client(), "ada", "wrong password").status_code == 401
        assert log_in(client(), "ada", PASSWORD).status_code == 429
        assert log_in(client(), "eve", PASSWORD).status_code == 303
        assert log_in(client("10.0.0.2"), "ada", PASSWORD).status_code == 303
        for number in range(15):
            log_in(client(), f"name{number}", "wrong password")
        assert log_in(client(), "eve", PASSWORD).status_code == 429
        clock.advance(301)
        assert log_in(client(), "ada", PASSWORD).status_code == 303


# Forged requests.


def test_a_request_without_its_sessions_token_changes_nothing(guarded, material):
    browser, other = guarded(), guarded()
    log_in(browser, "ada", PASSWORD)
    log_in(other, "eve", PASSWORD)
    for token in ("", "0" * 64, "\xff", token_of(other)):
        headers = {"x-csrf-token": token.encode("latin-1")}
        assert browser.post("/api/verify/decisions", json=ANSWER, headers=headers).status_code == 403
    assert browser.post("/logout", data={"csrf": "0" * 64}).status_code == 403
    assert guarded().post("/login", data={"name": "ada", "password": PASSWORD}).status_code == 403
    assert decisions(material) == []


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example.com"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_a_request_that_another_site_sent_is_refused(guarded, material, headers):
    browser = guarded()
    log_in(browser, "ada", PASSWORD)
    token = {"x-csrf-token": token_of(browser)}
    assert browser.post("/api/verify/decisions", json=ANSWER, headers={**token, **headers}).status_code == 403
    assert decisions(material) == []
    own = {"origin": f"http://{HOST}", "sec-fetch-site": "same-origin"}
    assert browser.post("/api/verify/decisions", json=ANSWER, headers={**token, **own}).status_code == 200


def test_without_users_a_page_still_needs_its_token(station, material):
    assert station().post("/api/verify/decisions", json=ANSWER).status_code == 403
    assert decisions(material) == []


# Roles.


@pytest.mark.parametrize(("name", "status"), [("vic", 403), ("ada", 200), ("eve", 200)])
def test_a_viewer_looks_and_others_decide(guarded, material, name, status):
    browser = guarded()
    log_in(browser, name, PASSWORD)
    assert browser.get("/api/verify/queue").status_code == 200
    headers = {"x-csrf-token": token_of(browser)}
    assert browser.post("/api/verify/decisions", json=ANSWER, headers=headers).status_code == status
    assert [who for who, _ in decisions(material)] == ([name] if status == 200 else [])


# Hostile content and requests.

HOSTILE = "\"'><script>alert(1)</script>{{7*7}}"


def test_names_from_a_recipe_or_a_camera_stay_text(material, request_of):
    joints = (JointRecord(HOSTILE, Verdict.FAIL, 0.9, 0.4, 0.6, HOSTILE, cause=HOSTILE),)
    with SqliteSink(material.database) as line:
        line.write(replace(record(1, joints), frame_name=HOSTILE, board=f"{HOSTILE}-000001", cause=HOSTILE))
        line.keep_packages("r" * 64, {HOSTILE: HOSTILE})
    with served(request_of) as client:
        browser = client()
        answer = browser.get("/api/verify/queue")
        assert answer.headers["content-type"] == "application/json"
        assert any(one["frame_name"] == HOSTILE for one in answer.json()["boards"])
        assert "<script>alert" not in browser.get("/verify").text
        board = next(one["id"] for one in answer.json()["boards"] if one["frame_name"] == HOSTILE)
        assert browser.get(f"/pictures/joints/0/{board}/0").status_code == 404
        assert client.failures == []


def test_a_hostile_name_at_the_login_stays_text(guarded):
    assert "<script>" not in log_in(guarded(), HOSTILE, "wrong password").text


@pytest.mark.parametrize(
    "address",
    [
        "/pictures/boards/0/../../../etc/passwd",
        "/pictures/boards/0/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/pictures/boards/0/-1",
        "/pictures/boards/0/1.jpg",
        "/static/../users.py",
        "/static/%2e%2e/users.py",
        "/static/..%2fusers.py",
        "/static//etc/passwd",
        "/static/",
    ],
)
def test_pictures_and_files_are_found_by_number_and_by_name_never_by_path(station, address):
    assert station().get(address).status_code in (404, 405)
    assert station.failures == []


@pytest.mark.parametrize(
    "address", [f"/pictures/joints/0/1/{'9' * 5000}", f"/api/look/0/boards?text={'x' * 5000}"]
)
def test_an_address_that_is_too_long_is_refused(station, address):
    assert station().get(address).status_code == 414
    assert station.failures == []


@pytest.mark.parametrize("number", ["9" * 30, str(2**63), "%D9%A1", "1%00", "0x1", "-0"])
def test_odd_numbers_are_never_an_internal_error(station, number):
    for address in (
        f"/pictures/joints/0/1/{number}",
        f"/api/verify/boards/{number}/1",
        f"/api/look/{number}/boards",
    ):
        assert station().get(address).status_code in (400, 404), address
    assert station().get(f"/api/verify/next?source=0&board={number}").status_code in (200, 400)
    assert station.failures == []


def test_a_large_body_is_refused_whether_it_says_so_or_not(station):
    browser = station()
    headers = {"x-csrf-token": token_of(browser), "content-type": "application/json"}
    large = b" " * (MAX_BODY_BYTES + 1)
    assert browser.post("/api/verify/decisions", content=large, headers=headers).status_code == 413
    pieces = (b" " * 65536 for _ in range(6))
    assert browser.post("/api/verify/decisions", content=pieces, headers=headers).status_code == 413
    assert station.failures == []


def test_a_database_that_cannot_be_read_is_an_answer_and_not_a_crash(station, material):
    browser = station()
    headers = {"x-csrf-token": token_of(browser)}
    whole = material.database.read_bytes()
    material.database.write_bytes(b"\0" * len(whole))
    answers = [
        browser.get("/api/verify/queue"),
        browser.post("/api/verify/decisions", json=ANSWER, headers=headers),
    ]
    assert {answer.status_code for answer in answers} <= {200, 503}
    assert station.failures == []


def test_verdicts_have_enough_contrast_in_both_themes(station):
    text = station().get("/static/station.css").text
    blocks = re.findall(r"\{([^{}]*--ground:[^{}]*)\}", text)
    assert len(blocks) == 3
    for block in blocks:
        colours = dict(re.findall(r"--([a-z-]+):\s*(#[0-9a-f]{6})", block))
        pairs = [
            ("text", "ground"),
            ("text", "card"),
            ("soft", "ground"),
            ("soft", "card"),
            ("soft", "hover"),
        ]
        pairs += [(verdict, f"{verdict}-ground") for verdict in ("pass", "review", "fail", "error")]
        pairs += [(verdict, "card") for verdict in ("pass", "review", "fail", "error")]
        pairs += [("on-accent", "accent"), ("accent", "card"), ("card", "text"), ("card", "fail")]
        for front, back in pairs:
            assert contrast(colours[front], colours[back]) >= 4.5, (front, back)


def contrast(first, second):
    """The contrast ratio of WCAG 2.1."""
    bright, dark = sorted((luminance(first), luminance(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)


def luminance(colour):
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_a_body_that_comes_too_slowly_is_given_up(request_of):
    import anyio

    async def dripping(app):
        sent = []

        async def receive():
            await anyio.sleep(30)

        async def send(message):
            sent.append(message)

        headers = {"host": HOST, "content-type": "application/json", "cookie": "sji=x", "x-csrf-token": token}
        scope = {
            "type": "http",
            "method": "POST",
            "scheme": "http",
            "path": "/api/verify/decisions",
            "root_path": "",
            "query_string": b"",
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
            "client": ("10.0.0.1", 1),
            "server": ("127.0.0.1", 8700),
            "http_version": "1.1",
        }
        await app(scope, receive, send)
        return sent[0]["status"]

    with served(request_of, body_timeout_s=0.2) as client:
        browser = client()
        browser.cookies.set("sji", "x")
        token = token_of(browser)
        begun = time.monotonic()
        assert anyio.run(dripping, browser.app) == 408
        assert time.monotonic() - begun < 10


def test_a_connection_whose_request_never_ends_is_closed_and_one_in_use_stays(material, monkeypatch):
    import http.client
    import socket

    import uvicorn

    from sji_edge.web import serve

    monkeypatch.setattr(serve, "HEADER_TIMEOUT_S", 0.6)

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, http=serve._PromptH11, log_config=None, lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
            slow.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
            steady = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            begun = time.monotonic()
            while time.monotonic() - begun < 2.5:
                steady.request("GET", "/")
                assert steady.getresponse().read() == b"ok"
                kept = steady.sock
                time.sleep(0.1)
            assert steady.sock is kept
            assert slow.recv(100) == b""
            steady.close()
        server.should_exit = True
        thread.join(30)
