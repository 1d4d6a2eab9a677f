"""A hub, or a model folder, that means no good: a sentence, and nothing but the model's folder touched."""

from __future__ import annotations

import resource
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.transcription.hub_server import COMMIT, LARGE, REPOSITORY, HubServer, serve_hub
from transcription.models.inventory import inventory
from transcription.models.model_hub import CannotFetch, ModelHub
from transcription.models.models import BUNDLED

pytestmark = pytest.mark.slow

PATTERNS = ["config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json"]


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serve_hub() as hub:
        yield hub


def files(*names: str, size: int = 1, digest: str = "a" * 40, **more: Any) -> dict[str, Any]:
    return {"siblings": [{"rfilename": name, "size": size, "blobId": digest, **more} for name in names]}


LISTINGS: dict[str, Callable[[], dict[str, Any]]] = {
    "a million files": lambda: files(*["config.json"] * 100_001),
    "more files than are read": lambda: files(*[f"{number}.bin" for number in range(150_000)]),
    "a name without an end": lambda: files("vocabulary." + "x" * 5_000),
    "a size below nothing": lambda: files("config.json", size=-1),
    "a size without an end": lambda: files("config.json", size=1 << 70),
    "a petabyte": lambda: files("config.json", size=1 << 50),
    "a checksum that is a path": lambda: files("config.json", digest="../../../../tmp/owned"),
    "a version that is a path": lambda: {"sha": "../../../../tmp/owned"},
    "a checksum of 10 kB": lambda: files("config.json", digest="a" * 10_000),
    "files that are words": lambda: {"siblings": "config.json"},
    "a file that is not there": lambda: files("config.json", "tokenizer.json", "vocabulary.none"),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_that_lies_ends_in_a_sentence(server: HubServer, tmp_path: Path, name: str) -> None:
    server.tell = LISTINGS[name]()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(CannotFetch) as told:
        fetch(server, tmp_path / "cache")
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 500
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 150 * 1024
    assert {path.name for path in tmp_path.iterdir()} <= {"cache"}


@pytest.mark.parametrize(
    "name", ["vocabulary.\0x", "vocabulary.\n", "vocabulary.../x", "vocabulary.é", "vocabulary. x"]
)
def test_a_file_with_no_file_name_is_left_alone(server: HubServer, tmp_path: Path, name: str) -> None:
    server.files[name] = b"x"
    folder = fetch(server, tmp_path)
    assert name not in {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    "where", ["file:///etc/passwd?", "ftp://127.0.0.1:1/", "data:text/plain,x", "gopher://x/"]
)
def test_nobody_is_sent_to_what_is_not_the_web(server: HubServer, tmp_path: Path, where: str) -> None:
    server.redirects_to = where
    with pytest.raises(CannotFetch, match=r"sends us on to|is not allowed"):
        fetch(server, tmp_path)


def test_a_ring_of_redirects_ends(server: HubServer, tmp_path: Path) -> None:
    server.redirects_to = server.url
    with pytest.raises(CannotFetch):
        fetch(server, tmp_path)
    assert len(server.asked) < 100


def test_a_file_that_is_longer_than_was_said_is_cut_and_thrown_away(
    server: HubServer, tmp_path: Path
) -> None:
    listing = server.listing()
    server.tell = {"siblings": listing["siblings"]}
    server.files[LARGE] += bytes(5_000_000)
    server.files["config.json"] = b"{" + server.files["config.json"]
    with pytest.raises(CannotFetch, match="checksum"):
        fetch(server, tmp_path)
    assert sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file()) < 10_000_000


CONFIGS = {
    "deep": b"[" * 100_000, "a list": b"[]", "endless": b'{"shortest_context": 1e999}', "no text": b"\xff\xfe",
    "a bomb": b'{"lang_ids": [' + b"0," * 2_000_000 + b"0]}", "a name": b'{"shortest_context": {}}', "empty": b"",
    "digits": b'{"shortest_context": ' + b"9" * 10_000 + b"}",
}  # fmt: skip


@pytest.mark.parametrize("name", CONFIGS)
def test_a_hostile_description_leaves_the_list_of_models_as_it_is(tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(BUNDLED, tmp_path / "planted")
    (folder / "config.json").write_bytes(CONFIGS[name])
    (found,) = [one for one in inventory("bundled", str(tmp_path)) if one.name == "planted"]
    assert found.path == str(folder)


@pytest.mark.parametrize("commit", ["../../../../../../etc", "/etc", COMMIT + "/../..", "\0"])
def test_a_planted_version_leads_nowhere(tmp_path: Path, commit: str) -> None:
    refs = tmp_path / f"models--{REPOSITORY.replace('/', '--')}" / "refs"
    refs.mkdir(parents=True)
    (refs / "main").write_text(commit)
    assert not [one for one in inventory("bundled", str(tmp_path)) if "etc" in one.path]


def fetch(server: HubServer, cache: Path) -> Path:
    hub = ModelHub(server.url, "", patience_seconds=5.0, pause_seconds=0.001)
    return hub.fetch(REPOSITORY, PATTERNS, cache)
