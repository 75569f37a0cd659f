"""The config file: what it may say, and how it is told what is wrong with it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from fltui.console.config import Config, check, config_path, load_config
from fltui.errors import BadInputError

THEMES = {"nord", "textual-dark", "gruvbox"}
BINDINGS = {"app.quit", "app.help", "run.pause"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Where a test writes its config."""
    return tmp_path / "config.toml"


def refusal(file: Path, text: str) -> str:
    """The sentence that says what is wrong, without the file's folder."""
    file.write_text(text)
    with pytest.raises(BadInputError) as told:
        load_config(file)
    assert str(file) in str(told.value)
    assert "\n" not in str(told.value)
    return str(told.value).replace(str(file), "FILE")


def test_the_variable_names_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FLTUI_CONFIG", str(tmp_path / "mine.toml"))
    assert config_path() == tmp_path / "mine.toml"


def test_a_tilde_in_the_variable_is_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("FLTUI_CONFIG", "~/mine.toml")
    assert config_path() == tmp_path / "mine.toml"


@pytest.mark.skipif(sys.platform != "linux", reason="other systems keep settings elsewhere")
def test_without_it_the_file_lies_where_the_system_keeps_settings(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FLTUI_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_path() == tmp_path / "fltui" / "config.toml"


def test_a_missing_file_says_nothing(file: Path) -> None:
    assert load_config(file) == Config()


def test_without_a_path_the_usual_file_is_read(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    monkeypatch.setenv("FLTUI_CONFIG", str(file))
    file.write_text('theme = "nord"')
    assert load_config().theme == "nord"


def test_all_settings_are_read(file: Path) -> None:
    file.write_text(
        """
        theme = "nord"
        jobs = ["/jobs", "/more"]
        runs = "/runs"
        exchange = "/exchange"

        [keys]
        "app.quit" = "ctrl+q"
        run.pause = "p,space"
        """
    )
    assert load_config(file) == Config(
        theme="nord",
        jobs=["/jobs", "/more"],
        runs="/runs",
        exchange="/exchange",
        keys={"app.quit": "ctrl+q", "run.pause": "p,space"},
    )


def test_folders_are_relative_to_the_file_and_a_tilde_is_the_home(
    monkeypatch: pytest.MonkeyPatch, file: Path, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    file.write_text('jobs = ["jobs", "~/jobs", ""]\nruns = "~/runs"\nexchange = "../exchange"')
    config = load_config(file)
    assert config.jobs == [str(tmp_path / "jobs"), "/home/somebody/jobs"]
    assert config.runs == "/home/somebody/runs"
    assert config.exchange == str(tmp_path / "../exchange")


def test_a_home_that_does_not_exist_is_told(file: Path) -> None:
    assert "folder '~no-such-user/a' is in a home that is not known" in refusal(file, 'runs = "~no-such-user/a"')


def test_broken_toml_is_told_with_its_line(file: Path) -> None:
    text = 'theme = "nord"\njobs = [1,\n2 3]\n'
    assert refusal(file, text) == "line 3 of config file FILE is not TOML: unclosed array"


def test_a_file_that_ends_too_early_is_told(file: Path) -> None:
    assert refusal(file, "theme") == "config file FILE is not TOML: expected '=' after a key in a key/value pair"


def test_an_unknown_setting_is_told_with_the_nearest(file: Path) -> None:
    assert refusal(file, '\nthem = "a"') == "line 2 of config file FILE: 'them' is not known; did you mean 'theme'?"


def test_an_unknown_setting_near_none_is_told_with_all(file: Path) -> None:
    told = refusal(file, "[colours]\nred = 1")
    assert told == (
        "line 1 of config file FILE: 'colours' is not known; expected one of exchange, jobs, keys, queue, runs, theme"
    )


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("theme = 1", "'theme' is 1, expected the name of a theme, such as \"nord\""),
        ("jobs = 'a'", "'jobs' is 'a', expected a list of folders, such as [\"~/jobs\"]"),
        ("runs = []", "'runs' is [], expected a folder, such as \"~/runs\""),
        ("exchange = true", "'exchange' is True, expected a folder, such as \"/mnt/shared/exchange\""),
        ("keys = 'q'", "'keys' is 'q', expected a table of binding ids and keys, such as app.quit = \"q,ctrl+q\""),
        ("[keys]\napp.quit = 3", "'keys' is {'app': {'quit': 3}}, expected a table"),
    ],
)
def test_a_setting_of_a_wrong_type_is_told(file: Path, text: str, told: str) -> None:
    assert refusal(file, text).startswith(f"line 1 of config file FILE: {told}")


def test_bytes_that_are_not_text_are_told(file: Path) -> None:
    file.write_bytes(b"theme = '\xff'")
    with pytest.raises(BadInputError, match="is not text in UTF-8, see byte 9"):
        load_config(file)


def test_a_file_that_cannot_be_read_is_told(private_folder: Path) -> None:
    file = private_folder / "config.toml"
    file.touch(mode=0)
    with pytest.raises(BadInputError, match=r"config\.toml cannot be read: Permission denied"):
        load_config(file)


def test_a_folder_in_its_place_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="cannot be read: Is a directory"):
        load_config(tmp_path)


def test_known_names_pass(file: Path) -> None:
    check(Config(), THEMES, BINDINGS, file)
    check(Config(theme="nord", keys={"app.quit": "q, ctrl+q"}), THEMES, BINDINGS, file)


@pytest.mark.parametrize(
    ("config", "told"),
    [
        (Config(theme="nrod"), "theme 'nrod' is not known; did you mean 'nord'?"),
        (Config(theme="x"), "theme 'x' is not known; expected one of gruvbox, nord, textual-dark"),
        (Config(keys={"app.qiut": "q"}), "keys for 'app.qiut', which is no binding; did you mean 'app.quit'?"),
        (Config(keys={"app.quit": "q,,w"}), "keys for 'app.quit' are 'q,,w', expected keys separated by commas"),
        (Config(keys={"app.quit": ""}), "keys for 'app.quit' are '', expected keys separated by commas"),
    ],
)
def test_names_that_do_not_exist_are_told(file: Path, config: Config, told: str) -> None:
    with pytest.raises(BadInputError) as error:
        check(config, THEMES, BINDINGS, file)
    assert str(error.value) == f"config file {file}: {told}"


def test_the_module_loads_no_parser_and_no_terminal() -> None:
    code = (
        "import sys, fltui.console.config; print({'tomllib', 'platformdirs', 'difflib', 'textual'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
