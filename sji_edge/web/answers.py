"""What a request's body must be, and how errors are answered."""

import json
from dataclasses import asdict, is_dataclass
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from sji_edge.core.errors import OutputError, SjiError
from sji_edge.review.pictures import Encoded
from sji_edge.web.guard import RefusedError

Body = TypeVar("Body", bound=BaseModel)
PICTURE_AGE = "private, max-age=600"


async def body_of(request: Request, model: type[Body]) -> Body:
    """Read a JSON body; refuses everything else (400, 415)."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise RefusedError(415, "the request's body must be JSON")
    try:
        return model.model_validate(json.loads(await request.body()))
    except (ValueError, RecursionError, ValidationError) as error:
        raise RefusedError(400, "the request's body is not what this address takes") from error


def as_json(value: Any) -> Response:
    """Answer with a result."""
    return JSONResponse(_plain(value))


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    return value


def as_picture(picture: Encoded) -> Response:
    """Answer with a picture, which the browser may keep for a while."""
    return Response(picture.data, media_type=picture.media_type, headers={"cache-control": PICTURE_AGE})


def as_error(_: Request, error: Exception) -> Response:
    """Answer an error of ours with its message and its hint."""
    if isinstance(error, RefusedError):
        return JSONResponse({"error": error.text}, error.status)
    if isinstance(error, SjiError):
        status = 503 if isinstance(error, OutputError) else 400
        return JSONResponse({"error": error.message, "hint": error.hint}, status)
    return JSONResponse({"error": "the station failed; its terminal says why"}, 500)


def integer(request: Request, name: str, default: int | None = None) -> int | None:
    """Return a number of the query; refuses what is none."""
    text = request.query_params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 16):
        raise RefusedError(400, f"{name} must be a whole number")
    return int(text)
