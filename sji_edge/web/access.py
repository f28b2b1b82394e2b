"""Who sends a request, and whether that person may: cookies, tokens and roles."""

from dataclasses import dataclass
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from sji_edge.core.clock import Clock
from sji_edge.core.decisions import Role
from sji_edge.review.shown import Person
from sji_edge.web.guard import RefusedError
from sji_edge.web.sessions import IDLE_S, LoginLimit, Sessions
from sji_edge.web.users import User, check_password, read_users

RANKS = {Role.VIEWER: 0, Role.OPERATOR: 1, Role.ENGINEER: 2}
SAME_SITE = ("same-origin", "none")


@dataclass(frozen=True, slots=True)
class AccessSettings:
    """How people get in.

    Attributes:
        users: file of the users; None where nobody logs in, which only the loopback address allows.
        local: who works at a station without users.
        secure: the station is reached through TLS.
    """

    users: Path | None
    local: Person
    secure: bool = False


class Access:
    """Knows who sends a request.

    Args:
        settings: how people get in.
        clock: for the age of sessions.
    """

    def __init__(self, settings: AccessSettings, clock: Clock) -> None:
        self._settings = settings
        self._sessions = Sessions(clock)
        self._limit = LoginLimit(clock)
        # The prefix makes browsers refuse a cookie that was set for another name or without TLS.
        self.cookie = "__Host-sji" if settings.secure else "sji"

    @property
    def needs_login(self) -> bool:
        """Whether people log in."""
        return self._settings.users is not None

    def session_id(self, request: Request) -> str:
        """Return the value of the browser's cookie; empty if it has none."""
        return request.cookies.get(self.cookie, "")[:100]

    def person(self, request: Request) -> Person | None:
        """Return who sends a request; None for a stranger."""
        if not self.needs_login:
            return self._settings.local
        person = self._sessions.person(self.session_id(request))
        # A user who was removed, or got another role, since the login.
        user = self._users().get(person.name) if person else None
        return Person(person.name, user.role) if person and user else None

    def require(self, request: Request, role: Role = Role.VIEWER) -> Person:
        """Return who sends a request; refuses strangers and those whose role is too low."""
        person = self.person(request)
        if person is None:
            raise RefusedError(401, "log in first")
        if RANKS[person.role] < RANKS[role]:
            raise RefusedError(403, f"this needs the role {role} (yours is {person.role})")
        return person

    def check_origin(self, request: Request, token: str) -> None:
        """Refuse a request that another site's page sent, or that lacks its session's token."""
        if request.headers.get("sec-fetch-site", "none") not in SAME_SITE:
            raise RefusedError(403, "the request came from another site")
        origin = request.headers.get("origin")
        if origin is not None and origin.partition("://")[2].lower() != request.headers["host"].lower():
            raise RefusedError(403, "the request came from another site")
        if not self._sessions.is_genuine(self.session_id(request), token):
            raise RefusedError(403, "the page is too old; load it again")

    def token(self, session_id: str) -> str:
        """Return the token of a session's pages."""
        return self._sessions.csrf_token(session_id)

    def set_cookie(self, response: Response, session_id: str) -> None:
        """Give the browser its cookie: not for scripts, not for other sites."""
        response.set_cookie(
            self.cookie,
            session_id,
            max_age=int(IDLE_S),
            path="/",
            httponly=True,
            samesite="strict",
            secure=self._settings.secure,
        )

    def fresh_id(self) -> str:
        """Return a value for the cookie of a browser that has none."""
        return self._sessions.fresh_id()

    def log_in(self, request: Request, name: str, password: str) -> str:
        """Check a password and begin a session; return its id.

        Raises:
            RefusedError: a wrong name or password (401), or too many of them (429).
        """
        address = request.client.host if request.client else ""
        wait_s = self._limit.wait_s(address, name[:40])
        if wait_s > 0:
            raise RefusedError(429, f"too many wrong passwords; try again in {wait_s / 60:.0f} min")
        # Counted first, so that many guesses at once are counted too.
        self._limit.failed(address, name)
        person = check_password(self._users(), name, password)
        if person is None:
            raise RefusedError(401, "wrong name or password")
        self._limit.forgive(address, name)
        self._sessions.end(self.session_id(request))
        return self._sessions.begin(person)

    def log_out(self, request: Request) -> None:
        """End the browser's session."""
        self._sessions.end(self.session_id(request))

    def _users(self) -> dict[str, User]:
        return read_users(self._settings.users) if self._settings.users else {}
