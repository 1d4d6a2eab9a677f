"""What is on a disk, and what may be deleted from it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.transcription.hub_server import COMMIT, NAME, REPOSITORY, model_folder, serve_hub
from transcription.models.inventory import CannotRemove, Model, Origin, inventory, remove
from transcription.models.model_hub import CannotFetch, ModelHub
from transcription.models.models import BUNDLED, FULL, HUB_MODELS

PATTERNS = ["*.json", "model.bin"]


def fetched(cache: Path, *, whole: bool = True) -> Path:
    with serve_hub() as server:
        if not whole:
            server.cut_after.extend([100_000] + [0] * 10)
        hub = ModelHub(server.url, pause_seconds=0.001)
        try:
            return hub.fetch(REPOSITORY, PATTERNS, cache)
        except CannotFetch:
            return model_folder(cache)


def by_hand(cache: Path, name: str) -> Path:
    return Path(shutil.copytree(BUNDLED, cache / name))


def found(name: str, configured: str, cache: Path) -> Model:
    (model,) = [model for model in inventory(configured, str(cache)) if model.name == name]
    return model


def test_an_empty_disk_has_the_bundled_model_and_the_hub_the_others(tmp_path: Path) -> None:
    models = inventory("bundled", str(tmp_path))
    bundled, *others = models
    assert (bundled.name, bundled.origin, bundled.configured) == ("bundled", Origin.BUNDLED, True)
    assert (bundled.multilingual, bundled.shortest_context) == (False, 300)
    assert bundled.size == sum(path.stat().st_size for path in BUNDLED.iterdir())
    assert [model.name for model in others] == list(HUB_MODELS)
    assert {model.origin for model in others} == {Origin.HUB}
    assert {model.name: model.multilingual for model in others}["base"] is True
    assert {model.name: model.multilingual for model in others}["base.en"] is False


def test_what_was_fetched_goes_by_its_short_name_with_all_its_bytes(tmp_path: Path) -> None:
    folder = fetched(tmp_path)
    model = found(NAME, NAME, tmp_path)
    assert (model.origin, model.path, model.configured) == (Origin.FETCHED, str(folder), True)
    assert model.size > (BUNDLED / "model.bin").stat().st_size
    assert found(NAME, REPOSITORY, tmp_path).configured, "both names mean it"


def test_half_a_download_is_shown_as_such(tmp_path: Path) -> None:
    fetched(tmp_path, whole=False)
    model = found(NAME, "bundled", tmp_path)
    assert model.origin is Origin.PARTIAL
    assert model.size >= 100_000


def test_a_folder_put_there_by_hand(tmp_path: Path) -> None:
    folder = by_hand(tmp_path, "mine")
    (tmp_path / "no-model").mkdir()
    model = found("mine", "mine", tmp_path)
    assert (model.origin, model.path, model.configured) == (Origin.BY_HAND, str(folder), True)
    assert "no-model" not in {one.name for one in inventory("mine", str(tmp_path))}


def test_a_configured_folder_elsewhere_is_listed(tmp_path: Path) -> None:
    folder = by_hand(tmp_path, "elsewhere")
    model = found(str(folder), str(folder), tmp_path / "cache")
    assert (model.origin, model.configured) == (Origin.BY_HAND, True)


def test_a_configured_model_that_is_nowhere_is_listed(tmp_path: Path) -> None:
    model = found("somebody/something", "somebody/something", tmp_path)
    assert (model.origin, model.configured) == (Origin.HUB, True)


def test_other_programs_models_in_the_shared_cache_are_not_ours(tmp_path: Path) -> None:
    home = tmp_path / "models--other--thing"
    (home / "refs").mkdir(parents=True)
    (home / "refs" / "main").write_text(COMMIT)
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for name in ("model.bin", "tokenizer.json", "vocabulary.json"):
        (snapshot / name).write_bytes(b"x")
    (snapshot / "config.json").write_text('{"hidden_size": 5}')
    assert "other/thing" not in {model.name for model in inventory("bundled", str(tmp_path))}
    with pytest.raises(CannotRemove, match="not on this disk"):
        remove("other/thing", "bundled", str(tmp_path), force=True)


@pytest.mark.parametrize("config", ["", "[]", '{"lang_ids": 5}', '{"shortest_context": "x"}'])
def test_a_config_that_is_no_good_is_no_crash(tmp_path: Path, config: str) -> None:
    (by_hand(tmp_path, "mine") / "config.json").write_text(config)
    model = found("mine", "bundled", tmp_path)
    assert model.multilingual is None
    assert model.shortest_context <= FULL


def test_a_multilingual_model_is_known_by_its_languages(tmp_path: Path) -> None:
    path = by_hand(tmp_path, "mine") / "config.json"
    path.write_text(json.dumps({"lang_ids": [1, 2]}))
    assert found("mine", "bundled", tmp_path).multilingual is True


# -- removing


def test_what_was_fetched_goes_with_all_that_came_with_it(tmp_path: Path) -> None:
    fetched(tmp_path)
    size = found(NAME, "bundled", tmp_path).size
    assert remove(NAME, "bundled", str(tmp_path)) == size
    assert not model_folder(tmp_path).exists()
    with pytest.raises(CannotRemove, match="not on this disk"):
        remove(NAME, "bundled", str(tmp_path))


def test_half_a_download_goes(tmp_path: Path) -> None:
    fetched(tmp_path, whole=False)
    assert remove(NAME, "bundled", str(tmp_path)) >= 100_000
    assert not model_folder(tmp_path).exists()


def test_the_configured_model_goes_only_by_force(tmp_path: Path) -> None:
    fetched(tmp_path)
    with pytest.raises(CannotRemove, match="is the configured model") as caught:
        remove(NAME, NAME, str(tmp_path))
    assert "--force" in caught.value.remedy
    assert remove(NAME, NAME, str(tmp_path), force=True)


def test_what_was_put_there_by_hand_goes_only_by_force(tmp_path: Path) -> None:
    folder = by_hand(tmp_path, "mine")
    with pytest.raises(CannotRemove, match="by hand"):
        remove("mine", "bundled", str(tmp_path))
    assert folder.exists()
    assert remove("mine", "bundled", str(tmp_path), force=True) > 1_000_000
    assert not folder.exists()


@pytest.mark.parametrize("name", ["bundled", "base", "..", "../x", "", "/etc"])
def test_nothing_else_can_be_removed(tmp_path: Path, name: str) -> None:
    with pytest.raises(CannotRemove) as caught:
        remove(name, "small", str(tmp_path), force=True)
    assert caught.value.remedy
    assert BUNDLED.exists()
