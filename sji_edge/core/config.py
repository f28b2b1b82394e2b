"""Reads ``sji-edge.toml``, which gives names to streams and says how far a challenge is trusted."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from sji_edge.core.errors import UsageError
from sji_edge.core.files import read_toml
from sji_edge.core.findings import in_words
from sji_edge.core.trust import Trust

CONFIG_FILE = Path("sji-edge.toml")
VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
CREDENTIALS = re.compile(r"(?P<head>[a-z][a-z0-9+.-]*://)(?P<credentials>[^/?#]*)(?P<rest>@.*)", re.I | re.S)

StreamName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_-]*$")]


class Config(BaseModel):
    """The content of the file.

    ``streams`` maps a name to the stream that it stands for; ``trust`` says what a passed challenge does.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    streams: dict[StreamName, Annotated[str, StringConstraints(min_length=1)]] = Field(default_factory=dict)
    trust: Trust = Trust.SHOW_ONLY


def load_config(path: Path = CONFIG_FILE) -> Config:
    """Read the file in the working directory; without one there are no names.

    Raises:
        UsageError: the file cannot be read, is not TOML, or has unknown content; names every fault but no value, which
            may be a secret.
    """
    if not path.exists():
        return Config()
    try:
        return Config.model_validate(read_toml(path))
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in found['loc'] if part != '[key]')}: {in_words(found['msg'])}"
            for found in error.errors(include_input=False, include_url=False)
        )
    raise UsageError(f"{path}: {faults}", hint='[streams] has lines such as line1 = "rtsp://camera/stream"')


def expand(text: str, environ: Mapping[str, str]) -> str:
    """Replace each ``${NAME}`` by the environment variable of that name.

    In the credentials of a URL the value is percent-encoded, so a password may contain any character.

    Raises:
        UsageError: a variable is not set; names every missing one.
    """
    missing = sorted({name for name in VARIABLE.findall(text) if name not in environ})
    if missing:
        listed = ", ".join(missing)
        raise UsageError(f"environment variable not set: {listed}", hint=f"export {missing[0]}=…")
    url = CREDENTIALS.fullmatch(text)
    if url is None:
        return VARIABLE.sub(lambda found: environ[found[1]], text)
    credentials = VARIABLE.sub(lambda found: quote(environ[found[1]], safe=""), url["credentials"])
    rest = VARIABLE.sub(lambda found: environ[found[1]], url["rest"])
    return f"{url['head']}{credentials}{rest}"
