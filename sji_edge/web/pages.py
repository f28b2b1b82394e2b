"""The pages themselves, the login, and the few files that belong to them."""

import json
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from sji_edge.review.categories import Categories
from sji_edge.web.access import Access
from sji_edge.web.guard import RefusedError

VIEWS = {"verify": "Verify", "label": "Label", "look": "Look"}


class Pages:
    """Renders the pages; what they show comes from other addresses, as JSON.

    Args:
        access: who sees them.
        categories: what people can say of a joint.
        views: the names of the views that this station has.
        facts: further values for the pages' scripts.
    """

    def __init__(
        self, access: Access, categories: Categories, views: tuple[str, ...], facts: Mapping[str, Any]
    ) -> None:
        self._access = access
        self._views = views
        self._facts = {**facts, "categories": categories.model_dump(mode="json")}
        self._templates = Environment(
            loader=PackageLoader("sji_edge.web"), autoescape=True, undefined=StrictUndefined
        )

    def routes(self) -> list[Route | Mount]:
        """Return the addresses."""
        own = [Route(f"/{view}", self.view, name=view) for view in self._views]
        static = StaticFiles(directory=Path(str(files("sji_edge.web") / "static")))
        return [
            Route("/", self.start),
            *own,
            Route("/login", self.login, methods=["GET", "POST"]),
            Route("/logout", self.logout, methods=["POST"]),
            Mount("/static", static),
        ]

    def start(self, request: Request) -> Response:
        """Lead to the first view."""
        del request
        return RedirectResponse(f"/{self._views[0]}", 303)

    def view(self, request: Request) -> Response:
        """Answer with a view's page, or lead to the login."""
        person = self._access.person(request)
        if person is None:
            return RedirectResponse("/login", 303)
        view = request.url.path.strip("/")
        return self._page(
            request,
            f"{view}.html",
            view=view,
            person=person,
            facts=json.dumps({**self._facts, "user": person.name, "role": person.role}),
        )

    async def login(self, request: Request) -> Response:
        """Show the form, or log somebody in."""
        if not self._access.needs_login:
            return RedirectResponse("/", 303)
        if request.method == "GET":
            return self._page(request, "login.html", fault="", name="")
        form = await _form(request)
        self._access.check_origin(request, form.get("csrf", ""))
        name = form.get("name", "")
        try:
            session_id = await run_in_threadpool(self._access.log_in, request, name, form.get("password", ""))
        except RefusedError as refused:
            return self._page(request, "login.html", refused.status, fault=refused.text, name=name[:40])
        answer = RedirectResponse("/", 303)
        self._access.set_cookie(answer, session_id)
        return answer

    async def logout(self, request: Request) -> Response:
        """End the session."""
        form = await _form(request)
        self._access.check_origin(request, form.get("csrf", ""))
        self._access.log_out(request)
        answer = RedirectResponse("/login", 303)
        answer.delete_cookie(self._access.cookie, path="/")
        return answer

    def _page(self, request: Request, template: str, status: int = 200, **values: Any) -> Response:
        known = self._access.session_id(request)
        session_id = known or self._access.fresh_id()
        text = self._templates.get_template(template).render(
            views={view: VIEWS[view] for view in self._views},
            csrf=self._access.token(session_id),
            has_login=self._access.needs_login,
            **values,
        )
        answer = HTMLResponse(text, status)
        if not known:
            self._access.set_cookie(answer, session_id)
        return answer


async def _form(request: Request) -> dict[str, str]:
    """Read a form's fields; the first value of each counts."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip()
    if kind != "application/x-www-form-urlencoded":
        raise RefusedError(415, "the request's body must be a form")
    try:
        fields = parse_qs((await request.body()).decode("utf-8"), max_num_fields=10)
    except ValueError as error:
        raise RefusedError(400, "the form cannot be read") from error
    return {name: values[0] for name, values in fields.items()}
