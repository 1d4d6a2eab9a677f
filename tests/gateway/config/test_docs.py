"""config.yaml, its schema and docs/configuration.md: written from the settings classes, and true."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from gateway.config import docs as config_docs
from gateway.config.configuration import GatewayConfig
from gateway.config.outline import Section, Setting, outline, settings
from tests.gateway.config.test_loading import load

ROOT = Path(__file__).resolve().parents[3]
SETTINGS = settings(GatewayConfig)


@pytest.mark.parametrize("path", sorted(config_docs.files()))
def test_the_generated_files_are_up_to_date(path: str) -> None:
    text = (ROOT / path).read_text(encoding="utf-8")
    assert text == config_docs.files()[path], "run python -m gateway.config.docs"


@pytest.mark.slow
def test_the_generator_writes_them(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    subprocess.run([sys.executable, "-m", "gateway.config.docs"], cwd=tmp_path, check=True)
    for path, text in config_docs.files().items():
        assert (tmp_path / path).read_text(encoding="utf-8") == text


def test_the_default_file_says_every_default(file: Path) -> None:
    text = config_docs.default_yaml()
    assert load(file, text) == GatewayConfig()
    data = yaml.safe_load(text)
    for path, setting in SETTINGS.items():
        value = data
        for key in path:
            value = value[key]
        assert value == (list(setting.default) if isinstance(setting.default, tuple) else setting.default), (
            path
        )


def test_the_first_line_names_the_schema() -> None:
    first, _, _ = config_docs.default_yaml().partition("\n")
    assert first == "# yaml-language-server: $schema=docs/config.schema.json"
    assert (ROOT / first.partition("=")[2]).is_file()


@pytest.mark.parametrize("item", list(outline(GatewayConfig)), ids=lambda item: ".".join(item.path))
def test_everything_is_described(item: Section | Setting) -> None:
    assert item.description.endswith("."), "a whole sentence"
    assert len(item.description) > 4


def test_the_schema_accepts_the_default_and_refuses_what_is_wrong() -> None:
    schema = json.loads(config_docs.json_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    validator.validate(yaml.safe_load(config_docs.default_yaml()))
    for wrong in ({"web": {"prot": 1}}, {"web": {"port": 70000}}, {"log": {"level": "inof"}}, {"x": 1}):
        assert not validator.is_valid(wrong), wrong


def test_the_schema_explains_each_setting_to_the_editor() -> None:
    text = config_docs.json_schema()
    for setting in SETTINGS.values():
        assert json.dumps(setting.description) in text


def test_the_comments_in_the_default_file_give_the_limits_and_fit_a_screen() -> None:
    lines = config_docs.default_yaml().splitlines()
    assert "  # 0 takes a free port (printed at start). (whole number from 0 to 65535)" in lines
    assert "  # The least serious level shown. (one of debug, info, warning, error)" in lines
    assert max(map(len, lines)) <= 100


@pytest.mark.parametrize("path", sorted(SETTINGS), ids=".".join)
def test_the_reference_has_every_setting(path: tuple[str, ...]) -> None:
    _, found, section = config_docs.reference().partition(f"\n## {'.'.join(path[:-1] or path)}\n")
    assert found
    assert f"\n| `{path[-1]}` | " in section.partition("\n## ")[0]


def test_the_table_of_the_reference_is_not_broken_by_a_pattern() -> None:
    rows = [line for line in config_docs.reference().splitlines() if line.startswith("| `")]
    assert len(rows) == len(SETTINGS)
    assert {row.replace(r"\|", "").count("|") for row in rows} == {5}
