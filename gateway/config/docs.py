"""config.yaml, its JSON schema and docs/configuration.md, written from the settings classes.

``python -m gateway.config.docs`` rewrites all three in the current folder; a test keeps them true.
"""

from __future__ import annotations

import json
import re
import textwrap
from pathlib import Path
from typing import Any

from gateway.config.configuration import GatewayConfig
from gateway.config.loading import variable_name
from gateway.config.outline import Section, Setting, dotted, expected, outline
from gateway.config.reloading import AT_ONCE, DEVICES, NEED_RESTART, REASONS
from gateway.contract.schemas import schemas_of

SCHEMA_PATH = "docs/config.schema.json"
_WIDTH = 100
_FORM = re.compile(r"of the form (\S+?)(?=,?(?: |$))")
_TABLE = ("| setting | default | what may stand there | what it is for |", "|---|---|---|---|")
_WORDS_OF_YAML = {"true", "false", "null", "on", "off", "yes", "no"}
"""Those that are no text, or that other readers of YAML take for something else."""
_HEAD = """\
Earshot's settings. Every value below is the default: keep the lines you change, delete the rest.
`earshot check-config` checks this file. The environment overrides it: EARSHOT_WEB__PORT=8081.
"""


def default_yaml(schema: str = SCHEMA_PATH) -> str:
    """A config.yaml with every setting, its description and its default; editors find ``schema``."""
    lines = [f"# yaml-language-server: $schema={schema}", *(f"# {line}" for line in _HEAD.splitlines())]
    for item in _items():
        indent = "  " * (len(item.path) - 1)
        if isinstance(item, Section):
            lines += ["", *_comment(item.description, indent), f"{indent}{item.path[-1]}:"]
        else:
            lines += [""] if len(item.path) == 1 else []
            lines += _comment(_explained(item), indent)
            lines += [f"{indent}{item.path[-1]}: {_yaml(item.default)}"]
    return "\n".join(lines) + "\n"


def json_schema() -> str:
    """The JSON schema of config.yaml, for editors."""
    (root,), definitions = schemas_of((GatewayConfig,))
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Earshot's config.yaml",
        **root,
        "$defs": definitions,
    }
    return json.dumps(schema, indent=2) + "\n"


def reference() -> str:
    """docs/configuration.md."""
    lines = [_INTRODUCTION]
    for item in _items():
        if isinstance(item, Section):
            lines += [f"\n## {dotted(item.path)}\n", f"{item.description}\n"]
            lines += [f"{_when(item.path[0])}\n"] if len(item.path) == 1 else []
            lines += _TABLE
        else:
            if len(item.path) == 1:
                lines += [f"\n## {dotted(item.path)}\n", *_TABLE]
            cells = (
                f"`{item.path[-1]}`",
                f"`{_yaml(item.default)}`",
                _FORM.sub(r"of the form `\1`", expected(item.annotation)),
                item.description,
            )
            lines.append("| " + " | ".join(cell.replace("|", r"\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _items() -> list[Section | Setting]:
    """Those of the sections, and then what stands beside them."""
    return sorted(outline(GatewayConfig), key=lambda item: isinstance(item, Setting) and len(item.path) == 1)


def main() -> None:
    """Rewrite the three files."""
    for path, text in files().items():
        Path(path).write_text(text, encoding="utf-8")


def files() -> dict[str, str]:
    """The generated files of the repository, by path."""
    return {
        "config.yaml": default_yaml(),
        SCHEMA_PATH: json_schema(),
        "docs/configuration.md": reference(),
    }


def _when(section: str) -> str:
    """When a change of it holds."""
    names = {"devices": DEVICES, "transcription": NEED_RESTART}.get(section, ())
    listed = ", ".join(f"`{name}`" for name in names)
    if section in AT_ONCE:
        return "*A change holds at once (`earshot reload`).*"
    if section == "devices":
        return f"*{listed} change at once (`earshot reload`); the rest from the next start on: {REASONS[section]}.*"
    if section == "transcription":
        return f"*A change holds at once (`earshot reload`); of {listed} from the next start on: {REASONS[section]}.*"
    return f"*A change holds from the next start on: {REASONS[section]}.*"


def _explained(setting: Setting) -> str:
    """The description, and the limits where the default does not show them."""
    words = expected(setting.annotation)
    shows = words.split()[0] in {"text", "true"} or words in {"a number", "a whole number"}
    shows = shows or isinstance(setting.default, tuple | dict)
    return setting.description if shows else f"{setting.description} ({words.removeprefix('a ')})"


def _comment(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}# ", break_on_hyphens=False
    )


def _yaml(value: Any) -> str:
    """A default as YAML; JSON's spelling is YAML too, and words need no quotes."""
    is_word = isinstance(value, str) and value.replace("-", "").isalnum() and value not in _WORDS_OF_YAML
    return str(value) if is_word else json.dumps(value)


_INTRODUCTION = f"""\
# Configuration

Generated from the settings classes by `python -m gateway.config.docs`; do not edit.

[`config.yaml`](../config.yaml) has every setting with its default. Earshot reads the first of: `--config FILE`,
`$EARSHOT_CONFIG`, `./config.yaml`, `/etc/earshot/config.yaml`; without any it runs on the defaults. A `./config.yaml`
that others could have written is refused (file and folder have to belong to you or to root, and nobody else may
write there): name it if you trust it.
`earshot check-config` lists every mistake at once, with its line and the near miss:

```
config.yaml:3: web.prot: unknown key; did you mean web.port?
```

**Environment.** Every setting can be overridden: join its path with two underscores, in capitals, after
`EARSHOT_`. Text is taken as it stands, anything else is read as YAML:

```sh
{variable_name(("web", "port"))}=8081
{variable_name(("devices", "serial", "ports"))}='["/dev/ttyUSB0"]'
{variable_name(("devices", "users"))}='{{kitchen: ann, attic: bob}}'
```

**YAML.** `true` and `false` are the only booleans: `engine: off` and `language: no` are text. Keys that stand twice,
anchors, aliases, tags and files over 1 MiB are refused. Editors complete and check `config.yaml` by its first line,
which names [`config.schema.json`](config.schema.json) (YAML language server)."""


if __name__ == "__main__":
    main()
