"""The few pages of the web server, and the headers that keep other pages away from them."""

from __future__ import annotations

from pathlib import Path
from string import Template

from aiohttp import web

_PAGE = Path(__file__).parent / "page"

_TYPES = {".js": "text/javascript", ".css": "text/css"}

_HEADERS = {
    # Nothing from elsewhere, and in no frame of another page. The terminal writes style elements.
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self' {socket}; "
    "img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # not less: else a form does not say from which page it comes
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def part(name: str) -> web.Response:
    """A script or style of the pages.

    Raises:
        HTTPNotFound: there is none of that name.
    """
    if name not in ("console.js", "enter.js", "style.css"):
        raise web.HTTPNotFound
    path = _PAGE / name
    return web.Response(text=path.read_text("utf-8"), content_type=_TYPES[path.suffix])


def said(status: int, title: str, text: str, *, page: str = "said.html", **more: str) -> web.Response:
    """A page of our own: none of what stands in it comes from a request."""
    template = Template((_PAGE / page).read_text("utf-8"))
    body = template.substitute(title=title, text=text, **more)
    return web.Response(status=status, text=body, content_type="text/html")


def locked(*, wrong: bool) -> web.Response:
    """The page with the field for the token; `wrong` if another one was given."""
    text = (
        "That is not its token." if wrong else "The console asks for its token: open the link with it, or give it here."
    )
    return said(401, "Locked", text, page="locked.html")


def protect(response: web.StreamResponse, host: str) -> None:
    """Headers that keep other pages away and this one from reaching out."""
    socket = f"ws://{host} wss://{host}" if host else ""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value.replace("{socket}", socket))
    if response.content_type == "text/html":
        response.headers["Cache-Control"] = "no-store"
