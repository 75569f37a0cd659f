"""One examination of an exchange, from what it is to what it does."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator, Iterator
from pathlib import Path

from fltui.errors import BadInputError
from fltui.exchange.doctor import contents, disk, own, probes, pulse
from fltui.exchange.doctor.access import CHANGE, ENTER, READ
from fltui.exchange.doctor.finding import Finding, Level, some
from fltui.exchange.doctor.layout import Layout, read_layout, site_folders, site_links
from fltui.exchange.doctor.permissions import judge
from fltui.exchange.layout import SERVER, ExchangeFolder, SiteFolder, check_site
from fltui.exchange.mount import mount_of
from fltui.exchange.publish import check_exchange

_NEVER = float("-inf")
_ENTER = "give this user the right to enter the folder and those above it (x)"


def nothing(_: str) -> None:
    """Told of every check that begins; says nothing."""


def about(exchange: ExchangeFolder) -> Finding:
    """Whether the folder is an exchange, may become one, or is for another program."""
    try:
        found = exchange.about.exists()
        check_exchange(exchange)
    except BadInputError as error:
        return Finding(
            "exchange", Level.UNSAFE, str(error), "see who may read exchange.json, and which version wrote it"
        )
    except OSError as error:
        seen = f"{exchange.root} cannot be looked at: {error.strerror}"
        return Finding("exchange", Level.UNSAFE, seen, _ENTER)
    if found:
        return Finding("exchange", Level.OK, f"{exchange.root} is an exchange of protocol 1")
    try:
        others = [one for one in os.listdir(exchange.root) if not contents.KNOWN_ROOT.fullmatch(one)]  # noqa: PTH208
    except PermissionError:  # a site need not be able to list it
        others = []
    what = f"{exchange.root} is no exchange yet; the first server makes it one"
    return Finding("exchange", Level.NOTE, what + (f"; in it now: {some(others)}" if others else ""))


class Examination:
    """Examines an exchange for one side.

    Args:
        exchange: the folder; it need not exist.
        side: ``"server"``, a site's name, or empty: whichever this user can be.
        model_size: bytes of a model, 0 if not declared.
        runs: the folder of run folders, None where that does not matter.
        begun: called with the name of every check that may take a while.

    Raises:
        BadInputError: `exchange` is no folder, or `side` no name.
    """

    def __init__(
        self,
        exchange: Path,
        *,
        side: str = "",
        model_size: int = 0,
        runs: Path | None = None,
        begun: Callable[[str], None] = nothing,
    ) -> None:
        if side not in ("", SERVER):
            check_site(side)
        with contextlib.suppress(PermissionError):  # told among the findings
            if not exchange.is_dir() and os.path.lexists(exchange):
                raise BadInputError(f"{exchange} is not a folder, so it cannot be an exchange")
        self.exchange = ExchangeFolder(exchange)
        self.side = side
        self._model_size = model_size
        self._runs = runs
        self._begun = begun
        self._sites: list[SiteFolder] = []
        self._open: list[SiteFolder] = []
        self._links: dict[str, str] = {}

    def findings(self) -> Generator[Finding, None, None]:
        """Everything there is to say, one subject after the other. What is made while trying goes away again."""
        root = self.exchange.root
        try:
            is_there = root.is_dir()
        except PermissionError as error:
            yield Finding("exchange", Level.UNSAFE, f"{root} cannot be looked at: {error.strerror}", _ENTER)
            return
        if not is_there:
            yield from self._missing()
            return
        yield about(self.exchange)
        hidden = self._find_sites()
        yield from self._unknown_side()
        self.side = self.side or own.guess_side(self.exchange, self._sites)
        signs = pulse.Pulse(self._open)
        layout = read_layout(self.exchange, self._sites)
        if layout is not None and hasattr(os, "geteuid"):
            yield from judge(layout)
            yield from hidden
            yield from self._own(layout)
        yield from self._disk(root)
        place = self._place()
        now = _NEVER
        if place is None:
            untested = "rename, names, watch, hard links, copies, fsync, locks and clock were not tried"
            fix = "run it as the server's user or as a site's"
            yield Finding("trials", Level.NOTE, f"this user can write nowhere in {root}: {untested}", fix)
            yield from disk.room(root, self._model_size, len(self._sites), None)
        else:
            now = yield from self._tried(place)
        yield from contents.leftovers(
            self.exchange, [*self._sites, *map(self.exchange.site, self._links)], self._open, now
        )
        self._begun("sites")
        yield from signs.findings()

    def _find_sites(self) -> list[Finding]:
        """Note the sites; findings about those that are not looked at."""
        try:
            self._sites = list(site_folders(self.exchange))
            self._links = site_links(self.exchange)
        except OSError as error:
            if self.side not in ("", SERVER):
                site = self.exchange.site(self.side)
                if os.path.islink(site.root):  # noqa: PTH114 - False where it is hidden
                    self._links = {site.name: os.readlink(site.root)}  # noqa: PTH115
                elif os.path.isdir(site.root):  # noqa: PTH112 - likewise
                    self._sites = self._open = [site]
            seen = f"the exchange cannot be listed by this user ({error.strerror}): other sites are not looked at"
            return [Finding("other sites", Level.NOTE, seen), *self._linked()]
        findings = self._linked()
        closed = [site.name for site in self._sites if not own.may(site.root, ENTER)]
        self._open = [site for site in self._sites if site.name not in closed]
        if closed:
            seen = f"this user does not see into {', '.join(closed[:6])}, which is as it should be for a site"
            fix = "the server's user or root can have all sites looked at"
            findings.append(Finding("other sites", Level.NOTE, seen, fix))
        return findings

    def _linked(self) -> list[Finding]:
        """The links in the place of sites' folders."""
        if not self._links:
            return []
        shown = some([f"{name} -> {where}" for name, where in self._links.items()])
        seen = f"links in the place of sites' folders: {shown}; what they lead to was not looked at"
        fix = "make each site's folder a plain one in the exchange"
        return [Finding("linked sites", Level.WARNING, seen, fix)]

    def _unknown_side(self) -> Iterator[Finding]:
        """Whether it is asked for a site that the exchange does not have."""
        known = sorted({site.name for site in self._sites} | self._links.keys())
        if self.side not in ("", SERVER, *known) and not os.path.lexists(self.exchange.site(self.side).root):
            there = f"there are {some(known)}" if known else "it has no site yet"
            if not own.may(self.exchange.root, READ):
                there = "this user cannot list those that it has"
            fix = "see whether the name is right; a new site gets its folder when its client or the server starts"
            yield Finding("site", Level.WARNING, f"the exchange has no site {self.side}; {there}", fix)

    def _missing(self) -> Iterator[Finding]:
        """The exchange is not there yet: look at where it would be made."""
        root = self.exchange.root
        above = root.parent
        while not os.path.exists(above):  # noqa: PTH110 - False where it is hidden
            above = above.parent
        if not above.is_dir() or not own.may(above, CHANGE):
            seen = f"{root} does not exist, and this user cannot make it in {above}"
            yield Finding("exchange", Level.UNSAFE, seen, f"make it as root: install -d -o USER -m 2750 {root}")
            return
        yield Finding("exchange", Level.NOTE, f"{root} does not exist; the first server would make it in {above}")
        self.side = self.side or SERVER
        yield from self._disk(above)
        yield from self._tried(above)

    def _own(self, layout: Layout) -> Iterator[Finding]:
        """What this user may do as the side it asks for."""
        if not self.side:
            seen = "this user can be neither the server nor a site here: it can only look"
            yield Finding("own rights", Level.NOTE, seen, "name the side it should be: --as server, or --as SITE")
            return
        yield own.rights(self.exchange, self.side, self._sites)
        try:
            found = own.new_files(layout, self.side, self._sites)
        except OSError as error:
            found = probes.failed("new files", error, "nothing can be made", f" ({error.filename})")
        if found is not None:
            yield found

    def _place(self) -> Path | None:
        """Where this side may try things out without anybody's seeing them."""
        places = [self.exchange.root]
        if self.side not in ("", SERVER):
            site = self.exchange.site(self.side)
            places = [] if site.name in self._links else [site.staging("site"), site.root]
            places.append(self.exchange.root)
        return next((place for place in places if own.may(place, CHANGE)), None)

    def _disk(self, folder: Path) -> Iterator[Finding]:
        yield disk.file_system(folder)
        if (apart := disk.one_disk(self._open)) is not None:
            yield apart
        yield disk.paths(self.exchange.root)
        if self._runs is not None and self.side in ("", SERVER):
            yield disk.store(folder, self._runs)

    def _tried(self, place: Path) -> Generator[Finding, None, float]:
        """Try things out in a folder of one's own; the time of the file system's clock."""
        try:
            with probes.probing_folder(place) as folder:
                now = folder.stat().st_mtime
                yield from self._trials(folder)
                return now
        except probes.NoPlaceError as error:
            yield from disk.room(place, self._model_size, len(self._sites), None)
            yield probes.failed("trials", error, f"no folder can be made in {place}")
            return _NEVER

    def _trials(self, folder: Path) -> Iterator[Finding]:
        yield from disk.room(folder, self._model_size, len(self._sites), folder)
        kind = mount_of(folder).kind
        trials: dict[str, Callable[[], Finding]] = {
            "rename": lambda: probes.rename(folder),
            "names": lambda: probes.names(folder),
            "watch": lambda: probes.watch(folder),
            "hard links": lambda: probes.links(folder),
            "copies": lambda: probes.copies(folder),
            "fsync": lambda: probes.sync(folder, kind),
            "locks": lambda: probes.lock(folder),
            "clock": lambda: probes.clock(folder),
        }
        for name, trial in trials.items():
            self._begun(name)
            yield probes.attempt(trial, name)
