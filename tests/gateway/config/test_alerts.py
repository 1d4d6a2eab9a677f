"""Settings of alerts that contradict each other, or are none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.config.loading import ConfigError, load_config


def load(folder: Path, **alerts: Any) -> Any:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump({"alerts": alerts}), encoding="utf-8")
    return load_config(file, {}).alerts


@pytest.mark.parametrize(
    ("alerts", "place", "told"),
    [
        ({"mqtt": "http://broker"}, "alerts.mqtt", "mqtt[s]://"),
        ({"mqtt": "mqtt://"}, "alerts.mqtt", "mqtt[s]://"),
        ({"mqtt": "mqtt://broker/topic"}, "alerts.mqtt", "mqtt[s]://"),
        (
            {"mqtt": "mqtt://broker", "mqtt_password_file": "words"},
            "alerts.mqtt_password_file",
            "whose password?",
        ),
        ({"mqtt_password_file": "words"}, "alerts.mqtt_password_file", "whose password?"),
        ({"mqtt": "mqtt://broker", "mqtt_ca_file": "ca.pem"}, "alerts.mqtt_ca_file", "mqtts://"),
        ({"webhook_secret_file": "words"}, "alerts.webhook_secret_file", "alerts.webhook"),
        ({"webhook": "http://hook", "webhook_ca_file": "ca.pem"}, "alerts.webhook_ca_file", "https://"),
        ({"webhook": "ftp://hook"}, "alerts.webhook", "expected"),
        ({"webhook": "https://a b"}, "alerts.webhook", "expected"),
        ({"failed_share": 1.5}, "alerts.failed_share", "expected"),
        ({"failed_share": -0.1}, "alerts.failed_share", "expected"),
        ({"after_seconds": -1}, "alerts.after_seconds", "expected"),
        ({"window_seconds": 1}, "alerts.window_seconds", "expected"),
        ({"ends_days": "soon"}, "alerts.ends_days", "expected"),
        ({"webhok": "http://hook"}, "alerts.webhok", "did you mean alerts.webhook?"),
    ],
)
def test_what_cannot_be_is_told_by_its_place(
    tmp_path: Path, alerts: dict[str, Any], place: str, told: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, **alerts)
    assert place in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    "alerts",
    [
        {},
        {"webhook": "http://127.0.0.1:9000/hook"},
        {"webhook": "https://example.org/hook", "webhook_secret_file": "words", "webhook_ca_file": "ca.pem"},
        {"mqtt": "mqtt://broker"},
        {"mqtt": "mqtts://me@broker:8883", "mqtt_password_file": "words", "mqtt_ca_file": "ca.pem"},
        {
            "failed_share": 0,
            "unanswered_share": 0,
            "memory_free_share": 0,
            "disk_free_share": 0,
            "ends_days": 0,
        },
        {"after_seconds": 0},
    ],
)
def test_what_can_be_is_taken(tmp_path: Path, alerts: dict[str, Any]) -> None:
    settings = load(tmp_path, **alerts)
    assert all(getattr(settings, name) == value for name, value in alerts.items())
