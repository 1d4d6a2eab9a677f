"""A configuration file of somebody's, changed and still theirs."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import strict_yaml
from gateway.config.docs import default_yaml
from gateway.config.editing import CannotEdit, edited, replace_file

TEXT = """\
# My house.
web:
  port: 8081  # the other one is taken
  # Who may listen.
  max_listeners: 10

transcription:
  # German is spoken here.
  language: de
  hotwords: "Aoife # Siobhan"
  segmenter:
    silence_ms: 500

devices:
  users:
    kitchen: ann
    attic: bob
  default_user: home
# The end.
"""


def data(text: str) -> Any:
    return strict_yaml.parse(text).data


def test_a_value_is_replaced_where_it_stands() -> None:
    after = edited(TEXT, [(("web", "port"), 9000), (("transcription", "segmenter", "silence_ms"), 300)])
    assert after == TEXT.replace("8081", "9000").replace("silence_ms: 500", "silence_ms: 300")


def test_what_is_new_goes_to_its_section_and_a_new_section_to_the_end() -> None:
    after = edited(
        TEXT,
        [
            (("web", "host"), "::1"),
            (("transcription", "segmenter", "pause_ms"), 0),
            (("history", "days"), 7.0),
            (("web", "limits", "uploads_per_minute"), 3.0),
        ],
    )
    assert (
        '  max_listeners: 10\n  host: "::1"\n  limits:\n    uploads_per_minute: 3.0\n\ntranscription:'
        in after
    )
    assert "    silence_ms: 500\n    pause_ms: 0\n\ndevices:" in after
    assert after.endswith("# The end.\nhistory:\n  days: 7.0\n")
    for line in TEXT.splitlines():
        assert line in after.splitlines()


def test_a_value_of_several_lines_is_replaced_whole() -> None:
    after = edited(TEXT, [(("devices", "users"), {"hall": "eve"})])
    assert '  users: {"hall": "eve"}\n  default_user: home\n# The end.' in after
    assert data(after)["devices"] == {"users": {"hall": "eve"}, "default_user": "home"}


def test_of_a_table_only_the_lines_that_change_are_touched() -> None:
    text = "devices:\n  users:\n    kitchen: ann  # hers\n    # Upstairs.\n    attic-2: bob\n    hall: eve\n"
    after = edited(text, [(("devices", "users"), {"kitchen": "ann", "attic-2": "eve", "cellar": "bob"})])
    assert after == (
        'devices:\n  users:\n    kitchen: ann  # hers\n    # Upstairs.\n    attic-2: "eve"\n    cellar: "bob"\n'
    )
    odd = edited(text, [(("devices", "users"), {"kitchen": "ann", "12": "bob", "true": "eve"})])
    assert data(odd)["devices"]["users"] == {"kitchen": "ann", "12": "bob", "true": "eve"}


def test_a_number_sign_in_quotes_is_no_comment() -> None:
    after = edited(TEXT, [(("transcription", "hotwords"), "Zoë")])
    assert data(after)["transcription"]["hotwords"] == "Zoë"


@pytest.mark.parametrize(
    "text",
    [
        "web: {port: 1}\n",
        "web:\n    port: 1\n",
        "web:\n  port:\n    1\n  host: x\n",
        '"web":\n  "port": 1\n',
        "- a\n",
        "web: [\n",
        "a: &x 1\n",
    ],
)
def test_a_file_that_is_written_otherwise_is_changed_rightly_or_not_at_all(text: str) -> None:
    try:
        after = edited(text, [(("web", "port"), 2)])
    except CannotEdit:
        return
    assert data(after)["web"]["port"] == 2


def test_an_empty_file_and_the_whole_default_file_take_changes() -> None:
    assert edited("", [(("web", "port"), 1)]) == "web:\n  port: 1\n"
    assert edited("# Nothing yet.\n", [(("web", "port"), 1)]) == "# Nothing yet.\nweb:\n  port: 1\n"
    before = default_yaml()
    after = edited(before, [(("web", "port"), 1), (("devices", "users"), {"a": "b"})])
    changed = [(a, b) for a, b in zip(before.splitlines(), after.splitlines(), strict=True) if a != b]
    assert changed == [("  users: {}", '  users: {"a": "b"}'), ("  port: 8080", "  port: 1")]


_PLAIN = st.characters(
    min_codepoint=32,
    exclude_characters="\x7f\x85\u2028\u2029\ufeff",
    exclude_categories=["Cs", "Cc", "Cn", "Co"],
)
_VALUES = st.one_of(
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.text(_PLAIN, max_size=20),
    st.lists(st.integers(0, 9), max_size=3),
    st.dictionaries(st.from_regex(r"\A[a-z]{1,5}\Z"), st.integers(0, 9), max_size=3),
)
_PATHS = st.sampled_from(
    [
        ("web", "port"),
        ("web", "new"),
        ("devices", "users"),
        ("new", "one"),
        ("transcription", "segmenter", "x"),
    ]
)


@given(st.lists(st.tuples(_PATHS, _VALUES), max_size=4, unique_by=lambda change: change[0]))
def test_it_says_what_was_wanted_or_is_refused(changes: list[tuple[tuple[str, ...], Any]]) -> None:
    try:
        after = edited(TEXT, changes)
    except CannotEdit:
        return
    found = data(after)
    for path, value in changes:
        one = found
        for key in path:
            one = one[key]
        assert one == json.loads(json.dumps(value))


def test_the_file_keeps_its_mode_and_is_whole_or_as_it_was(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("web:\n  port: 1\n")
    file.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    replace_file(link, "web:\n  port: 2\n")
    assert file.read_text() == "web:\n  port: 2\n"
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    with pytest.raises(OSError):  # noqa: PT011 - whichever
        replace_file(tmp_path / "nowhere" / "config.yaml", "x")
    assert sorted(os.listdir(tmp_path)) == ["config.yaml", "link.yaml"]  # noqa: PTH208
