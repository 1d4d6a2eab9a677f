"""Models that are here, models that are not, and what a person is told to do about it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from transcription.errors import ModelUnavailable
from transcription.models.models import (
    BUNDLED,
    FULL,
    HUB_MODELS,
    SHORTEST,
    STOCK_FLOOR,
    find_model,
    get_model,
    shortest_context,
    takes_names,
)

NOWHERE = "this-organisation/has-no-model"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A whole model outside the package."""
    return Path(shutil.copytree(BUNDLED, tmp_path / "my-model"))


def cached(cache: Path, repository: str, *files: str) -> Path:
    """The hub's cache, holding these files of a repository."""
    home = cache / f"models--{repository.replace('/', '--')}"
    snapshot = home / "snapshots" / "0123abc"
    snapshot.mkdir(parents=True)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text("0123abc")
    for file in files:
        shutil.copy(BUNDLED / file, snapshot)
    return snapshot


def test_the_bundled_model_is_package_data() -> None:
    assert find_model("bundled") == BUNDLED
    assert (BUNDLED / "MODEL_CARD.md").is_file()


def test_a_folder_is_a_model(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_model(str(folder)) == folder
    monkeypatch.chdir(folder.parent.parent)
    relative = f"{folder.parent.name}/{folder.name}"
    assert find_model(relative) == Path(relative)
    assert find_model(f"./{relative}") == Path(relative)
    monkeypatch.setenv("HOME", str(folder.parent))
    assert find_model("~/my-model") == folder


@pytest.mark.parametrize("file", ["model.bin", "config.json", "tokenizer.json", "vocabulary.json"])
def test_a_folder_that_lacks_a_file_is_named_with_the_file(folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ModelUnavailable, match=rf"{folder} is not a whole model: no {file[:5]}") as caught:
        get_model(str(folder))
    assert "--copy_files tokenizer.json" in caught.value.remedy


def test_a_folder_that_is_not_there() -> None:
    with pytest.raises(ModelUnavailable, match="there is no folder /no/such/model") as caught:
        find_model("/no/such/model")
    assert "transcription.model" in caught.value.remedy


@pytest.mark.parametrize(
    "name", ["/" + 300 * "x", "~nobody-has-this-name/model", "/proc/self/mem/model", "/a\0b", "a/b..c"]
)
def test_a_place_that_cannot_be_looked_at_is_no_crash(name: str) -> None:
    with pytest.raises(ModelUnavailable):
        find_model(name)


@pytest.mark.parametrize(
    ("name", "near"), [("tiny-en", "tiny.en"), ("bundeled", "bundled"), ("smal", "small")]
)
def test_an_unknown_name_gets_the_near_miss(name: str, near: str) -> None:
    with pytest.raises(ModelUnavailable, match=f"no model named '{name}'") as caught:
        get_model(name)
    assert f"did you mean {near}?" in caught.value.remedy


def test_a_name_like_nothing_gets_the_list() -> None:
    with pytest.raises(ModelUnavailable) as caught:
        get_model("???")
    assert "did you mean" not in caught.value.remedy
    assert all(name in caught.value.remedy for name in HUB_MODELS)


def test_the_short_names_are_faster_whispers() -> None:
    from faster_whisper.utils import _MODELS

    assert _MODELS.items() >= HUB_MODELS.items()


def test_a_model_of_the_hub_that_is_not_here(tmp_path: Path) -> None:
    assert find_model("base", str(tmp_path)) is None
    with pytest.raises(ModelUnavailable, match="base is not on this disk") as caught:
        get_model("base", models_dir=str(tmp_path), offline=True)
    assert "transcription.offline: false" in caught.value.remedy
    assert (
        f"copy the files of https://huggingface.co/{HUB_MODELS['base']} to {tmp_path}/base"
        in caught.value.remedy
    )


def test_a_model_copied_by_hand_goes_by_its_short_name(folder: Path) -> None:
    by_hand = folder.rename(folder.parent / "tiny.en")
    assert get_model("tiny.en", models_dir=str(folder.parent), offline=True) == by_hand


def test_a_model_copied_by_hand_may_have_a_name_of_its_own(folder: Path) -> None:
    assert find_model("my-model", str(folder.parent)) == folder
    with pytest.raises(ModelUnavailable, match="no model named 'my-model'"):
        find_model("my-model")


def test_a_model_in_the_hubs_cache_is_found_without_the_network(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, NOWHERE, "model.bin", "config.json", "tokenizer.json", "vocabulary.json")
    assert get_model(NOWHERE, models_dir=str(tmp_path), offline=True) == snapshot


def test_half_a_download_is_not_a_model(tmp_path: Path) -> None:
    cached(tmp_path, NOWHERE, "config.json", "tokenizer.json")
    assert find_model(NOWHERE, str(tmp_path)) is None


# -- how short a context a model tolerates


def configure(folder: Path, **more: object) -> None:
    (folder / "config.json").write_text(json.dumps({"suppress_ids": []} | more))


@pytest.mark.parametrize(
    ("name", "frames"),
    [
        ("base.en", STOCK_FLOOR),
        ("large-v3-turbo", STOCK_FLOOR),
        ("somebody/faster-whisper-base.en-acft", SHORTEST),
        ("/srv/models/ACFT-Whisper-Small", SHORTEST),
    ],
)
def test_weights_are_stock_unless_their_name_says_otherwise(folder: Path, name: str, frames: int) -> None:
    configure(folder)
    assert shortest_context(name, folder) == frames


@pytest.mark.parametrize(("told", "frames"), [(400, 400), (1, SHORTEST), (9999, FULL)])
def test_a_model_may_say_it_itself(folder: Path, told: int, frames: int) -> None:
    configure(folder, shortest_context=told)
    assert shortest_context("my-acft-model", folder) == frames


def test_the_bundled_model_says_what_it_tolerates() -> None:
    assert shortest_context("bundled", BUNDLED) == 300


@pytest.mark.parametrize("told", ["short", [100]])
def test_nonsense_is_not_guessed_at(folder: Path, told: object) -> None:
    configure(folder, shortest_context=told)
    with pytest.raises((ValueError, TypeError)):
        shortest_context("base", folder)


# -- whether it is told names


@pytest.mark.parametrize(
    ("name", "takes"),
    [
        ("base", True),
        ("tiny.en", True),
        ("large-v3-turbo", True),
        ("distil-small.en", False),
        ("Systran/faster-distil-whisper-large-v3", False),
        ("/srv/models/Distil-Whisper-Small", False),
        ("bundled", False),
    ],
)
def test_models_that_break_on_what_they_read_are_told_no_names(folder: Path, name: str, takes: bool) -> None:  # noqa: FBT001
    configure(folder)
    assert takes_names(name, folder) is takes
    assert takes_names(name) is takes, "before it is here, too"


def test_a_model_may_say_itself_whether_it_takes_names(folder: Path) -> None:
    configure(folder, takes_names=True)
    assert takes_names("distil-whisper-trained-on-prompts", folder)
    assert not takes_names("/somewhere/a-copy", BUNDLED)
