"""``sji-edge.toml``: names for streams, kept beside the records of a line."""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sji_edge.core.errors import UsageError
from sji_edge.core.findings import in_words

CONFIG_FILE = Path("sji-edge.toml")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
CREDENTIALS = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://)(?P<credentials>[^/?#]*)(?P<rest>@.*)", re.I | re.S)

StreamName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class Config(BaseModel):
    """The file's content. ``streams`` maps a name to what else would follow ``--stream``."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    streams: dict[StreamName, Annotated[str, StringConstraints(min_length=1)]] = Field(default_factory=dict)


def load_config(path: Path = CONFIG_FILE) -> Config:
    """Read the file of the working directory; without one there are no names.

    Raises:
        UsageError: it cannot be read, is no TOML, or holds something else; names every fault, and no value.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return Config()
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text") from error
    try:
        return Config.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in found['loc'] if part != '[key]')}: {in_words(found['msg'])}"
            for found in error.errors(include_input=False, include_url=False)
        )
    raise UsageError(f"{path}: {faults}", hint='[streams] holds lines such as line1 = "rtsp://camera/stream"')


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Put environment variables in the place of ``${NAME}``.

    In the credentials of a URL a value is percent-encoded, so that a password may hold any character.

    Raises:
        UsageError: a variable is not set; names it.
    """
    missing = sorted({name for name in VARIABLE.findall(text) if name not in environ})
    if missing:
        listed = ", ".join(missing)
        raise UsageError(f"the environment does not set {listed}", hint=f"export {missing[0]}=…")
    url = CREDENTIALS.fullmatch(text)
    if url is None:
        return VARIABLE.sub(lambda found: environ[found[1]], text)
    credentials = VARIABLE.sub(lambda found: quote(environ[found[1]], safe=""), url["credentials"])
    rest = VARIABLE.sub(lambda found: environ[found[1]], url["rest"])
    return f"{url['head']}{credentials}{rest}"
