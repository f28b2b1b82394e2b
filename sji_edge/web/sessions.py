"""Who is logged in: sessions in memory, tokens against forged requests, and a limit on guesses of passwords."""

import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict, deque
from dataclasses import dataclass

from sji_edge.core.clock import Clock
from sji_edge.review.shown import Person

IDLE_S, LONGEST_S = 8 * 3600.0, 16 * 3600.0
"""A session ends after a shift without a request, and after two shifts whatever happens."""
MAX_SESSIONS = 1000
GUESSES, WINDOW_S = 5, 300.0
"""Wrong passwords of a name from one address within the window; four times as many from an address at all."""
MAX_ADDRESSES = 10_000


@dataclass(slots=True)
class _Session:
    person: Person
    begun_ns: int
    used_ns: int


class Sessions:
    """Sessions by the secret value of their cookie; they end with the process.

    Args:
        clock: for their age.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def fresh_id() -> str:
        """Return a value for a cookie that nobody can guess."""
        return secrets.token_urlsafe(32)

    def begin(self, person: Person) -> str:
        """Begin a session under a new id, whatever cookie the browser had before."""
        session_id, now = self.fresh_id(), self._clock.monotonic_ns()
        with self._lock:
            self._sessions[_key_of(session_id)] = _Session(person, now, now)
            while len(self._sessions) > MAX_SESSIONS:
                self._sessions.popitem(last=False)
        return session_id

    def person(self, session_id: str) -> Person | None:
        """Return who is logged in under an id; None if the session ended or never began."""
        now = self._clock.monotonic_ns()
        with self._lock:
            session = self._sessions.get(_key_of(session_id))
            if session is None:
                return None
            if now - session.used_ns > IDLE_S * 1e9 or now - session.begun_ns > LONGEST_S * 1e9:
                del self._sessions[_key_of(session_id)]
                return None
            session.used_ns = now
            return session.person

    def end(self, session_id: str) -> None:
        """End a session; one that does not exist stays so."""
        with self._lock:
            self._sessions.pop(_key_of(session_id), None)

    def csrf_token(self, session_id: str) -> str:
        """Return the token that a page of this session sends along with everything that changes something."""
        return hmac.new(self._key, session_id.encode(), hashlib.sha256).hexdigest()

    def is_genuine(self, session_id: str, token: str) -> bool:
        """Tell whether a token belongs to a session."""
        wanted = self.csrf_token(session_id).encode()
        return bool(session_id) and hmac.compare_digest(wanted, token.encode("utf-8", "replace"))


def _key_of(session_id: str) -> str:
    # A look-up of the value itself would take longer the more of it is right.
    return hashlib.sha256(session_id.encode("utf-8", "replace")).hexdigest()


class LoginLimit:
    """Counts wrong passwords by name and address.

    Args:
        clock: for the window.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wrong: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str, name: str) -> float:
        """Return how long this address must wait before it may try this name; 0 if it may now."""
        with self._lock:
            return max(self._wait((address, name), GUESSES), self._wait((address, ""), 4 * GUESSES))

    def _wait(self, key: tuple[str, str], limit: int) -> float:
        seen = self._wrong.get(key)
        if seen is None or len(seen) < limit:
            return 0.0
        return max(0.0, WINDOW_S - (self._clock.monotonic_ns() - seen[-limit]) / 1e9)

    def failed(self, address: str, name: str) -> None:
        """Count a wrong password."""
        with self._lock:
            for key in ((address, name[:40]), (address, "")):
                seen = self._wrong.setdefault(key, deque(maxlen=4 * GUESSES))
                self._wrong.move_to_end(key)
                seen.append(self._clock.monotonic_ns())
            while len(self._wrong) > MAX_ADDRESSES:
                self._wrong.popitem(last=False)

    def forgive(self, address: str, name: str) -> None:
        """Forget the wrong passwords of a name whose right one came, and this try of its address."""
        with self._lock:
            self._wrong.pop((address, name[:40]), None)
            if seen := self._wrong.get((address, "")):
                seen.pop()
