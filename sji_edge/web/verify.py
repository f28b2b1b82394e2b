"""The view *Verify*: its page, what it asks for, and its answers."""

from typing import Annotated

from pydantic import Field, StringConstraints
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sji_edge.core.decisions import Answer, Role
from sji_edge.core.frozen import FrozenModel
from sji_edge.review.boards import BoardRow, JointRow, read_board, read_joint
from sji_edge.review.pictures import NoPictureError
from sji_edge.review.sensitivity import Explainer
from sji_edge.review.shown import Given
from sji_edge.review.verification import Source, Verification
from sji_edge.web.access import Access
from sji_edge.web.answers import as_json, as_picture, body_of, integer
from sji_edge.web.guard import RefusedError

MAX_ID = 2**62
Token = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9-]{8,64}$")]
Count = Annotated[int, Field(ge=0, le=MAX_ID, strict=True)]


class DecisionBody(FrozenModel):
    """An answer as the page sends it."""

    source: Count
    board: Count
    position: Annotated[int, Field(ge=-1, le=MAX_ID, strict=True)]
    what: Answer
    category: Annotated[str, StringConstraints(max_length=40)] = ""
    seconds: Annotated[float, Field(ge=0)] | None = None
    score_shown: bool = False
    blind: bool = False
    token: Token


class UndoBody(FrozenModel):
    """The decision to take back."""

    source: Count
    row: Count
    token: Token


class VerifyRoutes:
    """The addresses of the view.

    Args:
        work: what the view shows and does.
        access: who may.
        explainer: makes maps of what the engine looked at; None for no maps.
    """

    def __init__(self, work: Verification, access: Access, explainer: Explainer | None = None) -> None:
        self._work = work
        self._explainer = explainer
        self._access = access

    def routes(self) -> list[Route]:
        """Return the addresses."""
        board = "{source:int}/{board:int}"
        return [
            Route("/api/verify/queue", self.queue),
            Route("/api/verify/next", self.next),
            Route(f"/api/verify/boards/{board}", self.board),
            Route(f"/api/verify/boards/{board}/{{position:int}}", self.compare),
            Route("/api/verify/decisions", self.decide, methods=["POST"]),
            Route("/api/verify/undo", self.undo, methods=["POST"]),
            Route(f"/pictures/boards/{board}", self.board_picture),
            Route(f"/pictures/joints/{board}/{{position:int}}", self.joint_picture),
            Route(f"/pictures/golden/{board}/{{position:int}}", self.golden_picture),
            Route(f"/pictures/maps/{board}/{{position:int}}", self.map_picture),
        ]

    def queue(self, request: Request) -> Response:
        """Answer with the boards that wait, and those with calls that were handed on."""
        self._access.require(request)
        boards, escalated = self._work.queue(), self._work.escalated()
        return as_json({"open": self._work.open(), "boards": boards, "escalated": escalated})

    def next(self, request: Request) -> Response:
        """Answer with the next board, or null."""
        person = self._access.require(request)
        source, board = integer(request, "source"), integer(request, "board")
        after = None if source is None or board is None else (source, board)
        return as_json(self._work.next(person, after))

    def board(self, request: Request) -> Response:
        """Answer with one board."""
        self._access.require(request)
        return as_json(self._work.board(*_board_of(request)))

    def compare(self, request: Request) -> Response:
        """Answer with the pictures that a joint can be compared with, and why others are missing."""
        self._access.require(request)
        source, board, joint = self._joint(request)
        number = request.path_params["source"]
        here = f"{number}/{board.id}/{joint.position}"
        found: dict[str, object] = {"joint": f"/pictures/joints/{here}", "around": True, "why": ""}
        try:
            source.pictures.joint_pixels(board, joint)
        except NoPictureError as error:
            found |= {"around": False, "why": error.message, "hint": error.hint}
            try:
                source.pictures.joint(board, joint)
            except NoPictureError:
                found["joint"] = None
        if not board.recipe_sha256:
            found["around"] = False
        try:
            source.pictures.golden(board, joint)
            found |= {"golden": f"/pictures/golden/{here}", "golden_why": ""}
        except NoPictureError as error:
            found |= {"golden": None, "golden_why": error.message}
        found["good"] = [
            {
                "picture": f"/pictures/joints/{number}/{good.id}/{joint.position}",
                "utc": good.utc,
                "board": good.board,
            }
            for good in source.pictures.good_boards(board, joint)
        ]
        return as_json(found)

    async def decide(self, request: Request) -> Response:
        """Write an answer."""
        person = self._access.require(request, Role.OPERATOR)
        self._access.check_origin(request, request.headers.get("x-csrf-token", ""))
        body = await body_of(request, DecisionBody)
        given = Given(**body.model_dump())
        return as_json(await run_in_threadpool(self._work.decide, person, given))

    async def undo(self, request: Request) -> Response:
        """Take an answer back."""
        person = self._access.require(request, Role.OPERATOR)
        self._access.check_origin(request, request.headers.get("x-csrf-token", ""))
        body = await body_of(request, UndoBody)
        return as_json(await run_in_threadpool(self._work.undo, person, body.source, body.row, body.token))

    def board_picture(self, request: Request) -> Response:
        """Answer with a board's picture; a header says whether verdicts are painted on it."""
        self._access.require(request)
        number, board_id = _board_of(request)
        source = self._work.source(number)
        with source.records.reading() as connection:
            board = read_board(connection, board_id)
        try:
            picture, kind = source.pictures.board(board)
        except NoPictureError as error:
            raise RefusedError(404, error.message) from error
        answer = as_picture(picture)
        answer.headers["x-picture-kind"] = kind.value
        return answer

    def joint_picture(self, request: Request) -> Response:
        """Answer with a joint's picture."""
        self._access.require(request)
        source, board, joint = self._joint(request)
        try:
            return as_picture(source.pictures.joint(board, joint))
        except NoPictureError as error:
            raise RefusedError(404, error.message) from error

    def golden_picture(self, request: Request) -> Response:
        """Answer with the same place of the golden image."""
        self._access.require(request)
        source, board, joint = self._joint(request)
        try:
            return as_picture(source.pictures.golden(board, joint))
        except NoPictureError as error:
            raise RefusedError(404, error.message) from error

    def map_picture(self, request: Request) -> Response:
        """Answer with a map of what the engine looked at."""
        self._access.require(request)
        if self._explainer is None:
            raise RefusedError(404, "the station has no engine; start it with --engine")
        source, board, joint = self._joint(request)
        try:
            explainer = self._explainer
            return as_picture(source.pictures.map(board, joint, explainer.picture, explainer.sha256))
        except NoPictureError as error:
            raise RefusedError(404, error.message) from error

    def _joint(self, request: Request) -> tuple[Source, BoardRow, JointRow]:
        number, board_id = _board_of(request)
        source = self._work.source(number)
        with source.records.reading() as connection:
            board = read_board(connection, board_id)
            return source, board, read_joint(connection, board, min(request.path_params["position"], MAX_ID))


def _board_of(request: Request) -> tuple[int, int]:
    return min(request.path_params["source"], MAX_ID), min(request.path_params["board"], MAX_ID)
