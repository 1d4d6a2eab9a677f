"""What Home Assistant is told of a device, and of the gateway: its MQTT discovery messages. No I/O.

One message for each device, which Home Assistant knows since 2024.11. As its documentation has it
(``integrations/mqtt``): a component that is named with nothing but its platform is taken away.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Struct

from gateway.adapters.home_assistant.topics import HomeTopics, thing

STATES = ("idle", "listening", "transcribing", "thinking", "busy", "error")
HAPPENINGS = ("heard", "not_understood", "replied", "button", "wake_word")
LONGEST_STATE = 255
"""Characters that Home Assistant takes for a state; the whole text is an attribute."""

_Component: TypeAlias = dict[str, Any]


class DeviceFacts(Struct, frozen=True, kw_only=True):
    """What is known of a device, whatever it does."""

    device_id: str
    name: str = ""
    room: str = ""
    firmware: str = ""


class Discovery(Struct, frozen=True):
    """Who tells."""

    topics: HomeTopics
    version: str
    redact: bool = False
    """No words: there is nothing to see in what was said last."""

    def device(self, facts: DeviceFacts) -> bytes:
        """The discovery message of a device."""
        topics, here = self.topics, thing(facts.device_id)
        about = {
            "identifiers": [f"{topics.name}/{facts.device_id}"],
            "name": facts.name or facts.device_id,
            "manufacturer": "Earshot",
            "model": "Speech device",
            "serial_number": facts.device_id,
            "sw_version": facts.firmware,
            "suggested_area": facts.room,
            "via_device": topics.name,
        }
        there = [{"topic": topics.gateway_available}, {"topic": topics.available(here)}]
        components = _said(here, topics, redact=self.redact) | _does(here, topics)
        for name, component in components.items():
            if len(component) > 1:
                component["unique_id"] = f"{topics.name}/{facts.device_id}/{name}"
        return self._message(about, there, components)

    def gateway(self) -> bytes:
        """The discovery message of the gateway itself."""
        topics = self.topics
        about = {"identifiers": [topics.name], "name": _title(topics.name), "manufacturer": "Earshot"}
        about |= {"model": "Speech gateway", "sw_version": self.version}
        components = _gateway(topics)
        for name, component in components.items():
            component["unique_id"] = f"{topics.name}//{name}"
        return self._message(about, [{"topic": topics.gateway_available}], components)

    def _message(
        self, about: dict[str, Any], there: list[dict[str, str]], components: dict[str, _Component]
    ) -> bytes:
        return msgspec.json.encode(
            {
                "device": {key: value for key, value in about.items() if value},
                "origin": {"name": "Earshot", "sw_version": self.version},
                "availability": there,
                "availability_mode": "all",
                "components": components,
            }
        )


def _said(here: str, topics: HomeTopics, *, redact: bool) -> dict[str, _Component]:
    if redact:
        return {"transcript": {"platform": "sensor"}, "reply": {"platform": "sensor"}}
    return {
        "transcript": _text("Last transcript", "mdi:microphone-message", "heard", here, topics),
        "reply": _text("Last reply", "mdi:message-reply-text", "replied", here, topics),
    }


def _text(name: str, icon: str, what: str, here: str, topics: HomeTopics) -> _Component:
    return {
        "platform": "sensor",
        "name": name,
        "icon": icon,
        "state_topic": topics.words(here),
        "value_template": f"{{{{ value_json.{what}.text[:{LONGEST_STATE}] or None }}}}",
        "json_attributes_topic": topics.words(here),
        "json_attributes_template": f"{{{{ value_json.{what} | to_json }}}}",
    }


def _does(here: str, topics: HomeTopics) -> dict[str, _Component]:
    state = topics.state(here)
    lasts = {"device_class": "duration", "unit_of_measurement": "ms"}
    return {
        "state": _sensor(
            "State", "state", state, device_class="enum", options=list(STATES), icon="mdi:ear-hearing"
        ),
        "level": _measured("Level", "level", state, unit_of_measurement="dBFS", icon="mdi:waveform"),
        "answer": _measured("Time to answer", "answer_ms", state, suggested_display_precision=0, **lasts),
        "lost": _measured(
            "Lost audio",
            "lost_ms",
            state,
            suggested_display_precision=0,
            **lasts,
            state_class="total_increasing",
        ),
        "event": {
            "platform": "event",
            "name": "Heard",
            "icon": "mdi:account-voice",
            "event_types": list(HAPPENINGS),
            "state_topic": topics.event(here),
        },
        "announce": {
            "platform": "notify",
            "name": "Announce",
            "icon": "mdi:bullhorn",
            "command_topic": topics.announce(here),
        },
    }


def _gateway(topics: HomeTopics) -> dict[str, _Component]:
    state = topics.gateway_state
    health = _sensor(
        "Health", "health", state, device_class="enum", options=["healthy", "degraded", "unhealthy"]
    )
    return {
        "health": health
        | {
            "entity_category": "diagnostic",
            "json_attributes_topic": state,
            "json_attributes_template": "{{ value_json.components | to_json }}",
        },
        "problem": {
            "platform": "binary_sensor",
            "name": "Problem",
            "device_class": "problem",
            "entity_category": "diagnostic",
            "state_topic": state,
            "value_template": "{{ 'OFF' if value_json.health == 'healthy' else 'ON' }}",
        },
        "devices": _sensor("Devices", "devices", state, state_class="measurement", icon="mdi:chip"),
    }


def _sensor(name: str, field: str, topic: str, **more: object) -> _Component:
    template = f"{{{{ value_json.{field} }}}}"
    return {"platform": "sensor", "name": name, "state_topic": topic, "value_template": template} | more


def _measured(name: str, field: str, topic: str, **more: object) -> _Component:
    return _sensor(
        name, field, topic, **{"state_class": "measurement", "entity_category": "diagnostic"} | more
    )


def _title(name: str) -> str:
    return "Earshot" if name == "earshot" else f"Earshot {name}"
