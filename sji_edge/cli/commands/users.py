"""``sji-edge users``: who may log in at the review station."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from sji_edge.core.decisions import Role
from sji_edge.core.errors import UsageError
from sji_edge.core.extras import require
from sji_edge.core.files import output_errors

USERS = Path("users.json")

users = typer.Typer(
    name="users",
    no_args_is_help=True,
    help="Add, list and remove the people who may log in at the review station.",
)

Name = Annotated[
    str, typer.Argument(metavar="NAME", help="Name of the person, as recorded with each decision.")
]
File = Annotated[Path, typer.Option("--users", help="File of the users; created if it does not exist.")]


@users.command()
def add(
    name: Name,
    role: Annotated[
        Role | None,
        typer.Option(
            help="viewer looks, operator answers calls, engineer also labels and undoes; default: operator for a new "
            "person, otherwise the role that the person has.",
            show_default=False,
        ),
    ] = None,
    file: File = USERS,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input.")
    ] = False,
) -> None:
    """Add a person, or change a person's password and role; asks for the password.

    Example: `sji-edge users add ada --role engineer`
    """
    require("argon2", purpose="sji-edge users")
    from sji_edge.web.users import add_user

    if password_stdin:
        password = sys.stdin.readline().rstrip("\n")
    elif not sys.stdin.isatty():
        raise UsageError(
            "the password cannot be asked for: standard input is no terminal",
            hint="pass --password-stdin to read it from standard input",
        )
    else:
        password = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
    with output_errors(file):
        given = add_user(file, name, role, password)
    typer.echo(f"{name} may log in as {given}")


@users.command("list")
def list_users(file: File = USERS) -> None:
    """List the people and their roles.

    Example: `sji-edge users list`
    """
    require("argon2", purpose="sji-edge users")
    from sji_edge.web.users import read_users

    if not file.exists():
        raise UsageError(f"{file} does not exist", hint="add somebody with sji-edge users add NAME")
    for name, user in sorted(read_users(file).items()):
        typer.echo(f"{name}\t{user.role}")


@users.command()
def remove(name: Name, file: File = USERS) -> None:
    """Remove a person, who is logged out at once; decisions keep the name.

    Example: `sji-edge users remove ada`
    """
    require("argon2", purpose="sji-edge users")
    from sji_edge.web.users import remove_user

    with output_errors(file):
        remove_user(file, name)
    typer.echo(f"{name} may not log in any more")
