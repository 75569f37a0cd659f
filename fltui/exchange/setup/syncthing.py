"""Syncthing: two shared folders for each site, between the server's machine and that site's alone.

``site-1/tasks`` goes from the server to the site, ``site-1`` without it from the site to the server. So neither side
can write what the other sends. It is quicker, too: Syncthing rests for a quarter of a second after all that it has sent
of a folder, and in one folder for both ways each side would wait for the rests after its own acknowledgements.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from fltui.errors import BadInputError
from fltui.exchange.layout import SERVER, SiteFolder
from fltui.exchange.plain import NotPlainError, TooLargeError, read_plain
from fltui.exchange.publish import put_bytes
from fltui.exchange.setup.advice import Advice, Setup, Step

IGNORE = ".stignore"
"""Patterns of what Syncthing leaves alone in a folder. It never carries this file itself: each side has its own."""

_LINES = ("// fltui: tasks is a shared folder of its own, and goes the other way.", "/tasks")
_LARGEST = 1 << 20

_OPTIONS = "--ignore-perms --fswatcher-enabled --fswatcher-delays 1 --rescan-intervals 60"


def prepare(setup: Setup) -> Advice:
    """Write the ignore file of each site's folder and say what to share with whom.

    Raises:
        BadInputError: an ignore file cannot be read or written.
    """
    written, notes, steps = [], list[str](), list[Step]()
    for name in setup.sites:
        site = setup.exchange.site(name)
        ignore = site.root / IGNORE
        before = _read(ignore)
        if _LINES[1] not in before:
            text = "\n".join([*_LINES, *before]) + "\n"
            try:
                put_bytes(text.encode(), ignore, site.staging(SERVER if setup.at_server else "site"), durable=True)
            except OSError as error:
                raise BadInputError(f"{ignore} cannot be written: {error.strerror} ({error.filename})") from error
            written.append(str(ignore))
        if own := [line for line in before if line.strip() and not line.startswith("//") and line not in _LINES]:
            listed = ", ".join(map(repr, own[:5])) + (", ..." if len(own) > 5 else "")
            notes.append(
                f"{ignore} has lines of your own below {_LINES[1]!r}, which stay as they are: {listed}; what they "
                "match is not carried, so make sure that they match nothing of fltui's"
            )
    steps += _for_server(setup) if setup.at_server else _for_site(setup)
    notes += [
        "leave file versioning off, or tasks and results that are over fill the disk",
        "never share the exchange folder as a whole: every site would get what all others send",
    ]
    return Advice(written=written, notes=notes, steps=steps)


def _read(ignore: Path) -> list[str]:
    """The lines of an ignore file; none if it is not there.

    Raises:
        BadInputError: it cannot be read.
    """
    try:
        return read_plain(ignore, _LARGEST).decode().splitlines()
    except FileNotFoundError:
        return []
    except NotPlainError as error:
        raise BadInputError(f"{ignore} is not a plain file; put one in its place, or remove it") from error
    except TooLargeError as error:
        raise BadInputError(f"{ignore} is larger than {_LARGEST} bytes, so it is no list of patterns") from error
    except OSError as error:
        raise BadInputError(f"{ignore} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"{ignore} is not UTF-8 text: {error}") from error


def _for_server(setup: Setup) -> list[Step]:
    root = setup.exchange.root
    steps = [
        _install(SERVER),
        Step(SERVER, "Send each site your device ID, and let it send you its own, in a way that you trust.", [_OWN_ID]),
    ]
    for name in setup.sites:
        site, device = setup.exchange.site(name), f"DEVICE_ID_OF_{_variable(name)}"
        commands = [_add_device(device, name), *_share(site, device, tasks="sendonly", rest="receiveonly")]
        steps.append(Step(SERVER, f"Share two folders with {name}, and with nobody else.", commands))
    serve = f"fltui server JOB --sites {','.join(setup.sites)} --exchange {shlex.quote(str(root))} --nudge syncthing"
    steps.append(Step(SERVER, "When Syncthing shows these folders as up to date, start the run.", [serve]))
    for name in setup.sites:
        command = f"fltui exchange init DIR --as {name} --for syncthing"
        steps.append(Step(name, "With DIR a folder of this site's own, run this, and do what it says.", [command]))
    return steps


def _for_site(setup: Setup) -> list[Step]:
    name, root = setup.side, setup.exchange.root
    device = "DEVICE_ID_OF_SERVER"
    shares = _share(setup.exchange.site(name), device, tasks="receiveonly", rest="sendonly")
    client = f"fltui client SCRIPT --site {name} --exchange {shlex.quote(str(root))} --nudge syncthing"
    return [
        _install(name),
        Step(name, "Send the server your device ID, and let it send you its own, in a way that you trust.", [_OWN_ID]),
        Step(name, "Share two folders with the server, and with nobody else.", [_add_device(device, SERVER), *shares]),
        Step(
            name,
            "Only where the server is not found by itself, name its address; it need not know this site's.",
            [f"syncthing cli config devices {device} addresses add tcp://ADDRESS_OF_SERVER:22000"],
        ),
        Step(name, "Start the training script; it waits for the server.", [client]),
    ]


def _install(who: str) -> Step:
    return Step(
        who,
        "Run Syncthing as USER, the user whom fltui runs as: fltui has to read its config.xml to nudge it.",
        ["apt install syncthing", "systemctl enable --now syncthing@USER"],
    )


_OWN_ID = "syncthing --device-id"


def _add_device(device: str, name: str) -> str:
    return f"syncthing cli config devices add --device-id {device} --name {name}"


def _share(site: SiteFolder, device: str, *, tasks: str, rest: str) -> list[str]:
    """The commands that share the two folders of a site with a device."""
    commands = []
    for folder, path, kind in (
        (f"fltui-{site.name}-tasks", site.tasks, tasks),
        (f"fltui-{site.name}", site.root, rest),
    ):
        where = shlex.quote(str(path))
        commands += [
            f"syncthing cli config folders add --id {folder} --path {where} --type {kind} {_OPTIONS}",
            f"syncthing cli config folders {folder} devices add --device-id {device}",
        ]
    return commands


def _variable(name: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in name).upper()
