"""The filters of a site, made where its script runs."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fltui.aggregation.filters import ClipNorm, ExcludeVars
from fltui.aggregation.privacy import GaussianNoise
from fltui.errors import BadInputError
from fltui.job.code import close_code
from fltui.job.folder import filters_of_site
from fltui.job.site_filters import load_filters
from tests.job.own_code import FILTER, job_folder, put

CLIP = {"path": "fltui.aggregation.filters.ClipNorm", "args": {"max_norm": 2.0}}
NOISE = {"path": "fltui.aggregation.privacy.GaussianNoise", "args": {"noise_multiplier": 3.0, "seed": 4}}


@pytest.fixture
def name(tmp_path: Path) -> Iterator[str]:
    """Of a module that no other test has."""
    found = "own_site_" + re.sub(r"\W", "_", tmp_path.name).lower()
    yield found
    close_code(tmp_path)
    sys.modules.pop(found, None)


def config_of(folder: Path) -> Path:
    found = filters_of_site(folder, "a")
    assert found is not None
    return found


def test_they_are_made_in_their_order(tmp_path: Path) -> None:
    exclude = {"path": "fltui.aggregation.filters.ExcludeVars", "args": {"names": ["head.*"]}}
    folder = job_folder(tmp_path / "job", site_filters=[CLIP, exclude, NOISE])
    assert load_filters(config_of(folder)) == (ClipNorm(2.0), ExcludeVars(("head.*",)), GaussianNoise(3.0, seed=4))


def test_a_site_without_filters_has_no_configuration_of_them(tmp_path: Path) -> None:
    assert filters_of_site(job_folder(tmp_path / "job"), "a") is None
    assert filters_of_site(job_folder(tmp_path / "other", site_filters=[]), "b") is None


def test_sites_that_just_come_have_those_of_all(tmp_path: Path) -> None:
    folder = job_folder(tmp_path / "job", app="app", site_filters=[CLIP])
    assert filters_of_site(folder, "whoever") == folder / "app" / "config" / "config_fed_client.json"


def test_one_that_the_author_wrote_is_made_from_the_site_s_own_folder(tmp_path: Path, name: str) -> None:
    folder = job_folder(tmp_path / "job", site_filters=[{"path": f"{name}.Scaled", "args": {"factor": 0.1}}])
    put(folder / "app_a" / "custom" / f"{name}.py", FILTER)
    put(folder / "app_server" / "custom" / f"{name}.py", "raise SystemExit('was run')\n")
    found: Any = load_filters(config_of(folder))
    assert (type(found[0]).__name__, found[0].factor) == ("Scaled", 0.1)


@pytest.mark.parametrize(
    ("filters", "told"),
    [
        ([{"path": "os.system"}], "names the component 'os.system', which is not registered; "),
        ([{"path": "gone.Scaled"}], "names the component 'gone.Scaled', which is not registered; "),
        ([{"path": "fltui.workflows.fedavg.FedAvg"}], ": FedAvg is not a filter"),
        ([{"path": "fltui.aggregation.filters.ClipNorm", "args": {"norm": 1}}], ": ClipNorm has no argument 'norm'"),
        (
            [{"path": "fltui.aggregation.filters.ClipNorm", "arg": {}}],
            " is malformed: Object contains unknown field `arg`",
        ),
        ([5], " is malformed: Expected `object`, got `int`"),
    ],
)
def test_what_is_no_filter_is_refused(tmp_path: Path, filters: list[Any], told: str) -> None:
    folder = job_folder(tmp_path / "job", site_filters=[CLIP])
    config = folder / "app_a" / "config" / "config_fed_client.json"
    values = json.loads(config.read_text())
    values["task_result_filters"] = [{"filters": filters}]
    config.write_text(json.dumps(values))
    with pytest.raises(BadInputError) as caught:
        load_filters(config)
    assert str(caught.value).startswith(f"{config}")
    assert told in str(caught.value)


def test_filters_have_one_place(tmp_path: Path) -> None:
    config = config_of(job_folder(tmp_path / "job", site_filters=[CLIP]))
    values = json.loads(config.read_text())
    values["task_data_filters"] = values["task_result_filters"]
    config.write_text(json.dumps(values))
    with pytest.raises(BadInputError) as caught:
        load_filters(config)
    assert str(caught.value) == (
        f"{config} has task_data_filters; a filter's method task() is called by task_result_filters"
    )


def test_without_the_package_for_privacy_noise_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = config_of(job_folder(tmp_path / "job", site_filters=[NOISE]))
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(BadInputError, match=r"the package dp-accounting .* install 'fltui\[privacy\]'$"):
        load_filters(config)
