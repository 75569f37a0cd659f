"""rclone: a script on each machine that copies the files of its side to a place that all reach, and those of the others
back.

That place is a folder on a machine that all may log in to (sftp), the server's own exchange folder there, or a bucket
(S3). The script stands beside this module as ``rclone.sh``; what is written is that with its settings filled in.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from fltui.errors import BadInputError
from fltui.exchange.layout import SERVER
from fltui.exchange.plain import NotPlainError, read_plain
from fltui.exchange.publish import put_bytes
from fltui.exchange.setup.advice import Advice, Setup, Step

SCRIPT = "rclone.sh"
FILTER = "rclone.filter"

_FILTER = """\
# What fltui and sync engines keep for themselves. Add lines for what else is not to be carried.
- .syncthing.**
- *.sync-conflict-*
- *.partial
"""

_LARGEST = 1 << 20


def prepare(setup: Setup) -> Advice:
    """Write the script and its filter file and say how to run it.

    Raises:
        BadInputError: no remote is named, or a file cannot be read or written.
    """
    remote = _checked(setup.remote)
    root = setup.exchange.root
    settings = {"SIDE": setup.side, "SITES": " ".join(setup.sites), "LOCAL": str(root), "REMOTE": remote}
    text = Path(__file__).with_name(SCRIPT).read_text("utf-8")
    for name, value in settings.items():
        line = "SIDE=server\n" if name == "SIDE" else f"{name}=\n"
        text = text.replace(f"\n{line}", f"\n{name}={shlex.quote(value)}\n", 1)
    written, notes = [], list[str]()
    for name, content in ((SCRIPT, text), (FILTER, _FILTER)):
        path = root / name
        before = _read(path)
        if before is None:
            _write(content, path, setup)
            written.append(str(path))
        elif before != content and name == SCRIPT:
            notes.append(f"{path} is there and stays as it is; remove it to have it written anew")
    if root.stat().st_mode & 0o022:
        who = shlex.quote(str(root))
        notes.append(f"others can write in {root}, so also change what {SCRIPT} does as its user: chmod go-w {who}")
    notes.append("the script removes at the other side what is gone at this one: let nobody else write there")
    return Advice(written=written, notes=notes, steps=_for_server(setup) if setup.at_server else _for_site(setup))


def _checked(remote: str) -> str:
    """A remote that rclone can take for nothing else.

    Raises:
        BadInputError: it is none.
    """
    name, colon, _ = remote.partition(":")
    if not remote:
        raise BadInputError(
            "rclone needs a place that all sides reach: --remote NAME:PATH, with NAME from 'rclone config'"
        )
    if not colon or name.startswith("-") or not remote.isprintable():
        raise BadInputError(f"--remote is {remote!r}, expected NAME:PATH with NAME from 'rclone config'")
    bare = remote.rstrip("/")
    if bare.endswith(":"):
        raise BadInputError(
            f"--remote {remote!r} has no path: say which folder or bucket the exchange is in, as in {bare}PATH; "
            "other files there would be at risk"
        )
    return bare


def _read(path: Path) -> str | None:
    """The text of a file; None if it is not there.

    Raises:
        BadInputError: it cannot be read.
    """
    try:
        return read_plain(path, _LARGEST).decode(errors="replace")
    except FileNotFoundError:
        return None
    except NotPlainError as error:
        raise BadInputError(f"{path} is not a plain file; remove it, or put one in its place") from error
    except OSError as error:
        raise BadInputError(f"{path} cannot be read: {error.strerror}") from error


def _write(text: str, path: Path, setup: Setup) -> None:
    staging = setup.exchange.site(setup.sites[0]).staging(SERVER if setup.at_server else "site")
    try:
        put_bytes(text.encode(), path, staging, durable=True)
    except OSError as error:
        raise BadInputError(f"{path} cannot be written: {error.strerror} ({error.filename})") from error


def _for_server(setup: Setup) -> list[Step]:
    root = shlex.quote(str(setup.exchange.root))
    serve = f"fltui server JOB --sites {','.join(setup.sites)} --exchange {root}"
    steps = [
        _install(SERVER, setup.remote),
        Step(
            SERVER,
            "Run the script as long as there are runs, as the user of the server. Where NAME:PATH is this very folder, "
            "which the sites reach over sftp, nothing has to run here.",
            [_run(setup)],
        ),
        Step(SERVER, "Start the run.", [serve]),
    ]
    for name in setup.sites:
        command = f"fltui exchange init DIR --as {name} --for rclone --remote NAME:PATH"
        what = "With DIR a folder of this site's own and NAME:PATH the same place, run this, and do what it says."
        steps.append(Step(name, what, [command]))
    return steps


def _for_site(setup: Setup) -> list[Step]:
    name, root = setup.side, shlex.quote(str(setup.exchange.root))
    client = f"fltui client SCRIPT --site {name} --exchange {root}"
    return [
        _install(name, setup.remote),
        Step(
            name, "Run the script as long as this site takes part, as the user of the training script.", [_run(setup)]
        ),
        Step(name, "Start the training script; it waits for the server.", [client]),
    ]


def _install(who: str, remote: str) -> Step:
    name = remote.partition(":")[0] or "NAME"
    return Step(
        who,
        f"Install rclone, and let it know {name}: over sftp, or as a bucket. The last command prints what is there.",
        [
            "apt install rclone",
            f"rclone config create {name} sftp host HOST user USER key_file KEY known_hosts_file KNOWN shell_type unix",
            f"rclone config create {name} s3 provider PROVIDER access_key_id ID secret_access_key SECRET endpoint URL",
            f"rclone lsf {shlex.quote(remote)}",
        ],
    )


def _run(setup: Setup) -> str:
    return f"sh {shlex.quote(str(setup.exchange.root / SCRIPT))}"
