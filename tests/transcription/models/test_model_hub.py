"""Fetching from a hub that cuts, lies, refuses and redirects: a real one on the loopback."""

from __future__ import annotations

import fcntl
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.transcription.hub_server import (
    COMMIT,
    LARGE,
    REPOSITORY,
    HubServer,
    model_folder,
    serve_hub,
)
from transcription.models.model_hub import (
    PART,
    TRIES,
    CannotFetch,
    Fetched,
    ModelHub,
    cached_snapshot,
    megabytes,
)
from transcription.models.models import BUNDLED

PATTERNS = ["config.json", "model.bin", "tokenizer.json", "vocabulary.*", "preprocessor_config.json"]


@pytest.fixture
def server() -> Iterator[HubServer]:
    with serve_hub() as hub:
        yield hub


def fetch(server: HubServer, cache: Path, told: list[Fetched] | None = None, token: str = "") -> Path:
    hub = ModelHub(server.url, token, patience_seconds=5.0, pause_seconds=0.001)
    return hub.fetch(REPOSITORY, PATTERNS, cache, (told if told is not None else []).append)


def is_whole(folder: Path) -> bool:
    return (
        all((folder / name.name).read_bytes() == name.read_bytes() for name in BUNDLED.glob("*.json"))
        and (folder / LARGE).read_bytes() == (BUNDLED / LARGE).read_bytes()
    )


def test_what_is_wanted_comes_and_lies_as_the_hubs_client_has_it(server: HubServer, tmp_path: Path) -> None:
    from huggingface_hub import try_to_load_from_cache

    folder = fetch(server, tmp_path)
    assert is_whole(folder)
    assert not (folder / "MODEL_CARD.md").exists()
    assert cached_snapshot(tmp_path, REPOSITORY) == folder
    assert try_to_load_from_cache(REPOSITORY, LARGE, cache_dir=tmp_path) == str(folder / LARGE)
    before = len(server.asked)
    assert fetch(server, tmp_path) == folder
    assert len(server.asked) == before + 1, "only the listing"


def test_progress_grows_from_nothing_to_all(server: HubServer, tmp_path: Path) -> None:
    told: list[Fetched] = []
    folder = fetch(server, tmp_path, told)
    total = sum(path.stat().st_size for path in folder.iterdir())
    assert [one.done for one in told] == sorted(one.done for one in told)
    assert (told[0].done, told[0].kept, told[-1].done) == (0, 0, total)
    assert {one.total for one in told} == {total}


def test_a_connection_that_breaks_again_and_again_is_taken_up_where_it_broke(
    server: HubServer, tmp_path: Path
) -> None:
    server.cut_after.extend([100_000, 1, 250_000] + [1000] * (2 * TRIES))
    assert is_whole(fetch(server, tmp_path))
    assert server.ranges()[:4] == ["", "bytes=100000-", "bytes=100001-", "bytes=350001-"]


def test_a_download_that_was_given_up_is_resumed_by_the_next_one(server: HubServer, tmp_path: Path) -> None:
    server.cut_after.extend([200_000] + [0] * TRIES)
    with pytest.raises(CannotFetch, match="cannot be reached: the connection broke off with"):
        fetch(server, tmp_path)
    assert cached_snapshot(tmp_path, REPOSITORY) is None, "half a model is none"
    told: list[Fetched] = []
    assert is_whole(fetch(server, tmp_path, told))
    assert server.ranges()[-1] == "bytes=200000-"
    assert told[0].kept == 200_000
    assert not list(tmp_path.rglob(f"*{PART}"))


def test_a_hub_that_ignores_ranges_is_read_from_the_start(server: HubServer, tmp_path: Path) -> None:
    server.ignores_ranges = True
    server.cut_after.append(200_000)
    assert is_whole(fetch(server, tmp_path))


@pytest.mark.parametrize("name", [LARGE, "tokenizer.json"])
def test_a_wrong_checksum_throws_the_file_away(server: HubServer, tmp_path: Path, name: str) -> None:
    siblings = server.listing()["siblings"]
    server.tell = {"siblings": siblings}
    body = server.files[name]
    server.files[name] = body[:-1] + bytes([body[-1] ^ 1])
    with pytest.raises(CannotFetch, match=rf"{name} has not the checksum") as caught:
        fetch(server, tmp_path)
    assert "again" in caught.value.remedy
    assert not list(tmp_path.rglob(f"*{PART}"))
    server.files[name] = body
    assert is_whole(fetch(server, tmp_path))


def test_a_part_of_something_else_ends_in_a_checksum_error_and_then_in_the_file(
    server: HubServer, tmp_path: Path
) -> None:
    server.cut_after.extend([200_000] + [0] * TRIES)
    with pytest.raises(CannotFetch):
        fetch(server, tmp_path)
    (part,) = tmp_path.rglob(f"*{PART}")
    part.write_bytes(bytes(200_000))
    with pytest.raises(CannotFetch, match="checksum"):
        fetch(server, tmp_path)
    assert is_whole(fetch(server, tmp_path))


def test_a_part_that_is_too_long_is_begun_anew(server: HubServer, tmp_path: Path) -> None:
    server.cut_after.extend([200_000] + [0] * TRIES)
    with pytest.raises(CannotFetch):
        fetch(server, tmp_path)
    (part,) = tmp_path.rglob(f"*{PART}")
    part.write_bytes(bytes(50_000_000))
    assert is_whole(fetch(server, tmp_path))


@pytest.mark.parametrize(
    ("refusal", "why", "remedy"),
    [
        ((401, "GatedRepo"), "accepted its terms", "HF_TOKEN"),
        ((403, ""), "accepted its terms", "HF_TOKEN"),
        ((401, ""), "no such model, or not for everybody", "HF_TOKEN"),
        ((404, "RepoNotFound"), "no such model", "check the name"),
        ((418, ""), "answered 418", "check the name"),
    ],
)
def test_a_refusal_says_what_helps(
    server: HubServer, tmp_path: Path, refusal: tuple[int, str], why: str, remedy: str
) -> None:
    status, server.error_code = refusal
    server.refuse.append(status)
    with pytest.raises(CannotFetch, match=why) as caught:
        fetch(server, tmp_path)
    assert remedy in caught.value.remedy
    assert len(server.asked) == 1, "asking again would not help"


def test_a_hub_that_is_overloaded_is_asked_again(server: HubServer, tmp_path: Path) -> None:
    server.refuse.append(503)
    assert is_whole(fetch(server, tmp_path))


def test_a_hub_that_stays_out_of_reach(server: HubServer, tmp_path: Path) -> None:
    with pytest.raises(CannotFetch, match=r"cannot be reached: http://127\.0\.0\.1:1"):
        ModelHub("http://127.0.0.1:1", pause_seconds=0.001).fetch(REPOSITORY, PATTERNS, tmp_path)
    server.refuse.extend([502] * 10)
    with pytest.raises(CannotFetch, match="answered 502"):
        fetch(server, tmp_path)


@pytest.mark.parametrize("endpoint", ["", "no address", "http://[", "ftp://127.0.0.1:1"])
def test_nonsense_for_an_address(endpoint: str, tmp_path: Path) -> None:
    with pytest.raises(CannotFetch):
        ModelHub(endpoint, pause_seconds=0.001).fetch(REPOSITORY, PATTERNS, tmp_path)


@pytest.mark.parametrize(
    ("tell", "why"),
    [
        ({"siblings": None}, "no hub's listing"),
        ({"sha": "../../etc"}, "gives no checksums"),
        ({"siblings": [{"rfilename": "model.bin", "size": 5}]}, "gives no checksums"),
        ({"siblings": [{"rfilename": "model.bin", "size": 5, "blobId": "../x"}]}, "gives no checksums"),
    ],
)
def test_a_listing_that_cannot_be_trusted(
    server: HubServer, tmp_path: Path, tell: dict[str, object], why: str
) -> None:
    server.tell = tell
    with pytest.raises(CannotFetch, match=why):
        fetch(server, tmp_path)
    assert not list(tmp_path.rglob("*.bin"))


def test_a_name_cannot_lead_out_of_the_folder(server: HubServer, tmp_path: Path) -> None:
    server.files["vocabulary./../../../../evil.txt"] = b"x"
    folder = fetch(server, tmp_path)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["config.json", "model.bin", "preprocessor_config.json", "tokenizer.json", "vocabulary.json"]
    )


def test_a_disk_without_room_is_told_with_the_figures(server: HubServer, tmp_path: Path) -> None:
    listing = server.listing()
    for sibling in listing["siblings"]:
        if sibling["rfilename"] == LARGE:
            sibling["lfs"]["size"] = 10**16
    server.tell = listing
    with pytest.raises(CannotFetch, match=r"needs 10,000,000,\d{3} MB more on the disk of .* free") as caught:
        fetch(server, tmp_path)
    assert "earshot models remove" in caught.value.remedy
    assert not server.ranges()


FETCH_WITH_LITTLE_ROOM = f"""
import sys, resource
from pathlib import Path
from transcription.models.model_hub import CannotFetch, ModelHub
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))
try:
    ModelHub(sys.argv[1], pause_seconds=0.001).fetch({REPOSITORY!r}, {PATTERNS!r}, Path(sys.argv[2]))
except CannotFetch as error:
    print(error, "|", error.remedy)
"""


def test_a_disk_that_takes_no_more_is_told_and_what_came_is_kept(server: HubServer, tmp_path: Path) -> None:
    command = [sys.executable, "-c", FETCH_WITH_LITTLE_ROOM, server.url, str(tmp_path)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "cannot be written: File too large" in said
    assert "transcription.models_dir" in said
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 300_000
    assert is_whole(fetch(server, tmp_path))


def test_a_folder_that_cannot_be_written(server: HubServer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CannotFetch, match=r"file/models--.* cannot be written"):
        fetch(server, tmp_path / "file")


def test_two_at_once_do_not_disturb_each_other(server: HubServer, tmp_path: Path) -> None:
    home = model_folder(tmp_path)
    home.mkdir()
    with (home / ".earshot-lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(CannotFetch, match="another program is fetching"):
            fetch(server, tmp_path)
    assert is_whole(fetch(server, tmp_path))


def test_a_token_goes_to_the_hub_and_not_to_where_it_sends_us(server: HubServer, tmp_path: Path) -> None:
    with serve_hub() as elsewhere:
        server.redirects_to = elsewhere.url
        server.cut_after.append(1000)
        elsewhere.cut_after.append(1000)
        assert is_whole(fetch(server, tmp_path, token="secret"))
        assert {token for _path, _range, token in server.asked} == {"Bearer secret"}
        assert {token for _path, _range, token in elsewhere.asked} == {""}
        assert elsewhere.ranges() == ["", "bytes=1000-"], "a range goes along"


def test_a_new_version_takes_the_old_ones_place(server: HubServer, tmp_path: Path) -> None:
    fetch(server, tmp_path)
    commit = COMMIT[::-1].replace("0", "f")
    server.tell = {"sha": commit}
    server.files["config.json"] = b"{}"
    with pytest.raises(CannotFetch, match="no such model"):  # the server knows no other
        fetch(server, tmp_path)
    snapshot = cached_snapshot(tmp_path, REPOSITORY)
    assert snapshot is not None
    assert snapshot.name == COMMIT, "the old one stays until the new one is whole"


def test_sizes_for_people() -> None:
    assert [megabytes(n) for n in (0, 999, 145_300_000, 1_618_000_000)] == [
        "0 kB",
        "1 kB",
        "145 MB",
        "1,618 MB",
    ]


def test_a_cache_without_the_repository(tmp_path: Path) -> None:
    assert cached_snapshot(tmp_path, REPOSITORY) is None
    (model_folder(tmp_path) / "refs").mkdir(parents=True)
    (model_folder(tmp_path) / "refs" / "main").write_text("")
    assert cached_snapshot(tmp_path, REPOSITORY) is None
