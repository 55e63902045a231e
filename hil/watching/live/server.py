"""The server of the page: it answers GET with what files say, and nothing else with anything.

It is for this computer: a name in `Host` that is none of ours is refused, since a page from elsewhere may lead a
browser here under a name of its own. Served on another address, every request carries the token.
"""

from __future__ import annotations

import ipaddress
import secrets
import threading
import time
from importlib import resources
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from hil.watching import places
from hil.watching.view import FRESH_S, RunView, picture_of

LOOK_S = 2.0
"""How often folders are looked for."""
GOING = 50
"""Points of a study whose progress is shown."""
TYPES = {"js": "text/javascript", "css": "text/css", "html": "text/html", "LICENSE": "text/plain"}
JSON = "application/json"
FILES = ("uPlot.iife.min.js", "uPlot.min.css", "uPlot.LICENSE", "live.js", "live.css")
HEADERS = {
    "content-security-policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


class Site:
    """What is known of everything below a folder.

    Args:
        root: Of a run, or of several.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock, self._one_list = threading.Lock(), threading.Lock()
        self._views: dict[Path, RunView] = {}
        self._things: places.Things = {}
        self._every: places.Things = {}
        self._looked = 0.0
        self._list, self._listed = b"", 0.0

    def things(self) -> places.Things:
        """Kind and folder by name, looked for anew every few seconds."""
        with self._lock:
            self._look()
            return self._things

    def thing(self, name: str) -> tuple[str, Path] | None:
        """One of them, or a run of a study's point; None where there is none of that name."""
        with self._lock:
            self._look()
            return self._every.get(name)

    def _look(self) -> None:
        if not self._looked or time.monotonic() - self._looked > LOOK_S:
            self._things = places.found(self.root)
            self._every = places.points_too(self.root, self._things)
            paths = {path for _, path in self._every.values()}
            self._views = {path: view for path, view in self._views.items() if path in paths}
            self._looked = time.monotonic()

    def view(self, path: Path) -> RunView:
        """The view of a run, one for all who look."""
        with self._lock:
            return self._views.setdefault(path, RunView(path))

    def listed(self) -> bytes:
        """The list as JSON text, made at most twice a second for all who ask."""
        things = self.things()
        with self._one_list:
            if not self._list or time.monotonic() - self._listed > FRESH_S:
                briefs = [{"id": name, **self.brief(*thing)} for name, thing in things.items()]
                self._list = bytes(JSONResponse({"things": briefs, "root": self.root.name}).body)
                self._listed = time.monotonic()
            return self._list

    def brief(self, kind: str, path: Path) -> dict[str, Any]:
        """One of them for the list."""
        if kind == "run":
            return self.view(path).brief() | {"place": path.relative_to(self.root).as_posix()}
        long = places.characterization(path) if kind == "characterization" else places.study(path)
        short = {key: value for key, value in long.items() if key not in ("figures", "rows", "skipped")}
        return short | {"place": path.relative_to(self.root).as_posix()}

    def whole(self, kind: str, path: Path) -> Response:
        """One of them as far as it is known."""
        if kind == "run":
            return Response(self.view(path).written(), media_type=JSON)
        return JSONResponse(places.characterization(path) if kind == "characterization" else self._study(path))

    def _study(self, path: Path) -> dict[str, Any]:
        """A study, its points by name and the progress of those that are under way."""
        said, points = places.study(path), path / "points"
        for row in said["rows"]:
            row["id"] = places.name_of(self.root, points / row["name"] / "run")
        seen = {name: self.view(points / name / "run").brief() for name in said["busy"][:GOING]}
        said["going"] = [
            {"id": places.name_of(self.root, points / name / "run"), "name": name,
             **{key: brief[key] for key in ("step", "steps", "eta_s", "now")}}
            for name, brief in seen.items()
        ]  # fmt: skip
        return said


def application(root: Path, host: str = "127.0.0.1", token: str | None = None) -> Starlette:
    """The page's application.

    Args:
        root: Folder of a run, or of several.
        host: Address it is served on.
        token: What every request has to carry, as `?token=` or in a cookie.
    """
    site = Site(root)

    def page(request: Request) -> Response:
        return Response(_file("live.html"), media_type=TYPES["html"])

    def static(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in FILES:
            return PlainTextResponse("there is no such file", 404)
        return Response(_file(name), media_type=TYPES[name.rpartition(".")[2]])

    def listed(request: Request) -> Response:
        return Response(site.listed(), media_type=JSON)

    def one(request: Request) -> Response:
        thing = site.thing(request.path_params["name"])
        return _gone() if thing is None else site.whole(*thing)

    def drawn(request: Request) -> Response:
        thing = site.thing(request.path_params["name"])
        return _gone() if thing is None else JSONResponse(picture_of(thing[1]))

    routes = [
        Route("/", page, methods=["GET"]),
        Route("/static/{name}", static, methods=["GET"]),
        Route("/api/things", listed, methods=["GET"]),
        Route("/api/things/{name}", one, methods=["GET"]),
        Route("/api/things/{name}/picture", drawn, methods=["GET"]),
    ]
    return Starlette(routes=routes, middleware=[Middleware(Door, host=host, token=token)])


class Door:
    """Lets nothing in but GET, from where it may come.

    Args:
        app: Behind it.
        host: Address it is served on.
        token: As of `application`.
    """

    def __init__(self, app: ASGIApp, host: str, token: str | None) -> None:
        self._app, self._token = app, token
        self._hosts = {"127.0.0.1", "localhost", "::1", host} if local(host) else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        refused = self._refused(Request(scope)) if scope["type"] == "http" else PlainTextResponse("", 400)
        token = self._token

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                more = dict(HEADERS)
                if token is not None and refused is None:
                    more["set-cookie"] = f"hil-token={token}; HttpOnly; SameSite=Strict; Path=/"
                message["headers"] = [*message["headers"], *((k.encode(), v.encode()) for k, v in more.items())]
            await send(message)

        await (self._app if refused is None else refused)(scope, receive, sent)

    def _refused(self, request: Request) -> Response | None:
        if request.method not in ("GET", "HEAD"):
            return PlainTextResponse("this page only shows: GET", 405, {"allow": "GET, HEAD"})
        name = request.url.hostname or ""
        if self._hosts is not None and name not in self._hosts:
            return PlainTextResponse("this page is for this computer: open it as http://127.0.0.1", 421)
        if self._token is not None:
            given = request.query_params.get("token") or request.cookies.get("hil-token") or ""
            if not secrets.compare_digest(given.encode(), self._token.encode()):
                return PlainTextResponse("the token is missing or wrong: open the address that `hil live` said", 403)
        return None


def local(host: str) -> bool:
    """Whether an address is of this computer alone."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _file(name: str) -> str:
    return (resources.files("hil.watching.live") / "static" / name).read_text("utf-8")


def _gone() -> Response:
    return JSONResponse({"state": "gone", "why": "the folder is not there any more"}, 404)
