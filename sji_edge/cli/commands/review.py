"""``sji-edge review``."""

from pathlib import Path
from typing import Annotated

import typer

from sji_edge.cli.options import DATABASE

SHOWN = "What it shows"
ADDRESS = "Address and access"
AGREEMENT = "Agreement"


def review(
    records: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="RECORDS",
            help="Databases that infer wrote; default: inspections/inspections.db if it exists.",
        ),
    ] = None,
    pool: Annotated[
        list[Path] | None,
        typer.Option(
            help="Pool of crops to label, a folder that collect wrote; repeat it for more.",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    recipe: Annotated[
        list[Path] | None,
        typer.Option(
            help="Recipe folder, for the places of joints and the golden image; repeat it for more products.",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    engine: Annotated[
        Path | None,
        typer.Option(
            help="Engine folder, to show on demand what the engine looked at; the engine that judged the boards.",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    categories: Annotated[
        Path | None,
        typer.Option(
            help="TOML file with the kinds of defects and their keys; default: a list after IPC-A-610.",
            rich_help_panel=SHOWN,
        ),
    ] = None,
    since: Annotated[
        str,
        typer.Option(help="Only boards from this UTC time on, such as 2026-01-31.", rich_help_panel=SHOWN),
    ] = "",
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen on. Anything but this machine's own 127.0.0.1 needs --users.",
            rich_help_panel=ADDRESS,
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int,
        typer.Option(
            min=0, max=65535, help="Port to listen on; 0 picks a free one.", rich_help_panel=ADDRESS
        ),
    ] = 8700,
    name: Annotated[
        list[str] | None,
        typer.Option(
            help="Name that browsers use for the station, such as station1.example.com; repeat it for more.",
            rich_help_panel=ADDRESS,
        ),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(
            help="File of the people who may log in, which sji-edge users writes.", rich_help_panel=ADDRESS
        ),
    ] = None,
    behind_proxy: Annotated[
        bool,
        typer.Option(
            "--behind-proxy",
            help="Browsers come through a TLS proxy on this machine: cookies are for TLS only.",
            rich_help_panel=ADDRESS,
        ),
    ] = False,
    blind_share: Annotated[
        float,
        typer.Option(
            min=0.0,
            max=0.5,
            help="Share of decisions after which a decided call is presented again without its answer, to measure "
            "how well people agree.",
            rich_help_panel=AGREEMENT,
        ),
    ] = 0.02,
) -> None:
    """Serve the review station: people answer the line's calls in a browser.

    Ctrl-C ends it. Every answer is on disk before the page shows the next joint.

    Example: `sji-edge review inspections/inspections.db --recipe boards/amplifier`
    """
    import getpass

    from sji_edge.cli.render.console import console
    from sji_edge.core.clock import SystemClock
    from sji_edge.core.extras import require
    from sji_edge.records.read.utc import utc_prefix

    require("starlette", "uvicorn", "argon2", purpose="sji-edge review")
    from sji_edge.core.errors import UsageError
    from sji_edge.review.station import StationRequest
    from sji_edge.web.serve import ServeRequest, serve

    found = [*(records or ())]
    if not found and not pool and DATABASE.is_file():
        found = [DATABASE]
    try:
        start = utc_prefix(since)
    except ValueError as error:
        raise UsageError(f"--since: {error}") from error
    shown = StationRequest(
        records=found,
        pools=[*(pool or ())],
        recipes=[*(recipe or ())],
        categories=categories,
        since=start,
        blind_share=blind_share,
    )
    try:
        person = getpass.getuser()
    except (KeyError, OSError):
        person = "local"
    request = ServeRequest(
        host=host,
        port=port,
        names=tuple(name or ()),
        users=users,
        engine=engine,
        behind_proxy=behind_proxy,
        local_user=person,
    )
    out = console()
    serve(
        shown,
        request,
        SystemClock(),
        ready=lambda url: out.print(f"review station at {url}", highlight=False, markup=False),
        failed=lambda text: out.print(text, highlight=False, markup=False),
    )
