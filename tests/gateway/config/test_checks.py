"""What no single setting can say: places, addresses, and settings that contradict each other."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.config.test_loading import load, problems


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "192.168.1.2", "gateway.local"]
)
def test_addresses_of_the_page(file: Path, host: str) -> None:
    assert load(file, f'web: {{host: "{host}"}}').web.host == host


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "devices: {known: {kitchen: {priority: high}}}",
            'FILE:1: devices.known.kitchen.priority: expected one of "", urgent, normal, background, got \'high\'',
        ),
        ("devices: {microphones: {desk: {rate: 100}}}", "FILE:1: devices.microphones.desk.rate: expected 0 or a whole"),
        (
            "{privacy: {redact: true}, orchestrator: {agents: {a: {cache: {seconds: 1}}}}}",
            "FILE:1: orchestrator.agents.a.cache: an answer that is given again is kept in words",
        ),
        ('web: {host: ""}', "FILE:1: web.host: expected an address; 0.0.0.0 is every one of this machine"),
        *[
            (f"web: {{hosts: ['{host}']}}", "FILE:1: web.hosts[0]: expected name or name:port, got")
            for host in ("", "https://house", "house/", "House", "*", "a b", "house:port", "user@house")
        ],
        *[
            (f"web: {{trusted_proxies: ['{proxy}']}}", "FILE:1: web.trusted_proxies[0]: expected an address or a net")
            for proxy in ("", "proxy", "10.0.0.1/8", "10.0.0.1:80", "*")
        ],
        *[
            (f"web: {{trusted_proxies: [{said}]}}", f"FILE:1: web.trusted_proxies{message}")
            for said, message in (
                ("10.0.0.1, 0.0.0.0/0", "[1]: expected proxies, not everybody, who could then claim any address, got"),
                ("128.0.0.0/1, '::1', 0.0.0.0/1", "[0]: expected proxies, not everybody"),
            )
        ],
        *[
            (f"web: {{origins: ['{origin}']}}", "FILE:1: web.origins[0]: expected http[s]://name[:port] as browsers")
            for origin in ("", "*", "null", "house", "https://house/", "HTTPS://house", "ftp://house", "https://")
        ],
        *[
            (f"names: {{home_assistant: {{url: '{url}'}}}}", "FILE:1: names.home_assistant.url: expected http[s]://host")
            for url in ("house", "ws://house", "http://", "http://user@house", "http://house:0", "http://house/?q=1")
        ],
        ("names: {home_assistant: {token_file: t}}", "FILE:1: names.home_assistant.token_file: a token for nobody"),
        (
            "names: {home_assistant: {url: 'http://h', ca_file: c}}",
            "FILE:1: names.home_assistant.ca_file: certificates need an https:// url",
        ),
        ("names: {mqtt: {url: 'http://h'}}", "FILE:1: names.mqtt.url: expected mqtt[s]://"),
        ("names: {mqtt: {url: 'mqtt://h', ca_file: c}}", "FILE:1: names.mqtt.ca_file: certificates need an mqtts"),
        ("web: {tls: {key_file: /k.pem}}", "FILE:1: web.tls.key_file: a key is of no use without web.tls.cert_file"),
        (
            "web: {tls: {self_signed: true, cert_file: /c.pem}}",
            "FILE:1: web.tls.self_signed: there is a certificate in web.tls.cert_file",
        ),
        (
            "devices: {serial: {ports: [/dev/ttyUSB0, COM3]}}",
            "FILE:1: devices.serial.ports[1]: expected an absolute path or pattern such as /dev/ttyUSB*, got 'COM3'",
        ),
        (
            "devices:\n  mqtt:\n    url: ws://ann:secret@host",
            "FILE:3: devices.mqtt.url: expected mqtt[s]://[user:password@]host[:port], 'embedded' or nothing, got 'ws://ann:***",
        ),
        *[
            (f"devices: {{mqtt: {{url: '{url}'}}}}", "FILE:1: devices.mqtt.url: expected mqtt[s]://")
            for url in ("host", "mqtt://", "mqtt://h:99999", "mqtt://h:x", "mqtt://h/topic", "mqtt://[::1", "mqtt://:1")
        ],
        *[
            (f"devices: {{mqtt: {{url: '{url}', {more}}}}}", f"FILE:1: devices.mqtt.{message}")
            for url, more, message in (
                ("mqtt://h", "ca_file: /ca.pem", "ca_file: certificates need an mqtts:// url"),
                ("mqtts://h", "key_file: /key.pem", "key_file: a key is of no use without devices.mqtt.cert_file"),
                ("mqtts://h", "password_file: /secret", "password_file: whose password? name the user in the url"),
            )
        ],
        *[
            (f"adapters: {{home_assistant: {{{said}}}}}", f"FILE:1: adapters.home_assistant.{message}")
            for said, message in (
                ("url: 'ws://ann:secret@host'", "url: expected mqtt[s]://[user:password@]host[:port] or nothing"),
                ("url: 'mqtt://h', ca_file: /ca.pem", "ca_file: certificates need an mqtts:// url"),
                (
                    "url: 'mqtts://h', key_file: /key.pem",
                    "key_file: a key is of no use without adapters.home_assistant.cert_file",
                ),
            )
        ],
        *[
            (f"adapters: {{wyoming: {{satellites: {{{said}}}}}}}", f"FILE:1: adapters.wyoming.satellites.{message}")
            for said, message in (
                ("hall: 'http://host'", "hall: expected tcp://host:port (65535 at most) or"),
                ("hall: 'tcp://host'", "hall: expected tcp://host:port (65535 at most) or"),
                ("hall: 'tcp://host:70000'", "hall: expected tcp://host:port (65535 at most) or"),
                ("web-hall: 'tcp://host:1'", "web-hall: ids that begin with web- are of pages and programs"),
                ("hall: 'tcp://h:1', den: 'tcp://h:1'", "den: hall is there, too; each satellite is one device"),
            )
        ],
        *[
            (f"adapters: {{wyoming: {{allow: {{{said}}}}}}}", f"FILE:1: adapters.wyoming.allow.{message}")
            for said, message in (
                ("HA: house", "HA: expected an address or a network, such as 192.168.1.5 or"),
                ("HA: 192.168.1.5, all: '::/0'", "all: expected somebody, not everybody: this protocol has no"),
                ("half: 0.0.0.0/1, rest: 128.0.0.0/1", "half: expected somebody, not everybody"),
                (
                    "a: 0.0.0.0/2, b: 64.0.0.1/2, c: 128.0.0.0/1",
                    "a: expected somebody, not everybody: this protocol has no passwords, got '0.0.0.0/2', '64.0",
                ),
            )
        ],
        (
            "adapters: {wyoming: {listen: ['tcp://127.0.0.1:1', 'unix:///a', 'tcp://127.0.0.1:1']}}",
            "FILE:1: adapters.wyoming.listen[2]: 'tcp://127.0.0.1:1' stands here twice",
        ),
        (
            "{adapters: {wyoming: {satellites: {hall: 'tcp://h:1'}}}, devices: {microphones: {hall: {name: x}}}}",
            "FILE:1: adapters.wyoming.satellites.hall: hall is a microphone of this machine",
        ),
        ("broker: {url: 'pigeon://host'}", "FILE:1: broker.url: no broker is called 'pigeon'; known: memory://, "),
        ("broker: {url: host}", "FILE:1: broker.url: a broker's address begins with its kind, as in memory://"),
        *[
            (f"broker: {{url: '{url}'}}", "FILE:1: broker.url: not redis://[user:password@]host[:port]")
            for url in ("redis://", "redis://h:99999", "redis://h:0", "redis://h:x", "redis://[::1", "redis://h?a=b")
        ],
        *[
            (f"journal: {{path: '{path}'}}", "FILE:1: journal.path: expected a file's path; `journal.enabled")
            for path in (":memory:", "./:memory:", "file:journal.db?mode=memory")
        ],
        ("transcription: {models_dir: ~nobody-of-that-name/m}", "FILE:1: transcription.models_dir: there is no such"),
        ("orchestrator: {app: my-house}", "FILE:1: orchestrator.app: expected auto, builtin, module:name or nothing"),
        ("content: {hook: look}", "FILE:1: content.hook: expected module:name or nothing, got 'look'"),
        ("content: {forbidden_words: [damn, '!?']}", "FILE:1: content.forbidden_words[1]: expected a word, got '!?'"),
        *[
            (
                f"devices: {{{section}: {{web-desk: {{}}}}}}",
                f"FILE:1: devices.{section}.web-desk: ids that begin with web- are of pages and programs",
            )
            for section in ("known", "microphones")
        ],
        *[
            (
                f"recognizers: {{use: {use}}}",
                "FILE:1: recognizers.use: recognizers on other machines are reached over a broker, and memory:// is",
            )
            for use in ("only", "sooner")
        ],
        (
            "recognizers: {audio_at: 'https://hall'}\nweb: {enabled: false}",
            "FILE:1: recognizers.audio_at: the web server gives it away, which is off (web.enabled)",
        ),
        *[
            (
                f"recognizers: {{audio_at: '{url}'}}",
                "FILE:1: recognizers.audio_at: expected https://host[:port] (http:// on this machine only), got ",
            )
            for url in (
                *("hall", "http://hall", "https://", "https://a:b@hall", "https://hall?x", "ftp://localhost"),
                *("https://[::1", "https://hall:99999", "https://hall#x"),
            )
        ],
        ("house: {share: true}", "FILE:1: house.share: the gateways of a house find each other over a broker that"),
        (
            "broker: {url: 'amqp://host', amqp_sasl: EXTERNAL}",
            "FILE:1: broker.amqp_sasl: EXTERNAL shows RabbitMQ our certificate, which takes amqps://, got 'amqp://host'",
        ),
        (
            "broker: {url: 'amqps://host', amqp_sasl: EXTERNAL}",
            "FILE:1: broker.amqp_sasl: EXTERNAL shows RabbitMQ our certificate, and there is none: name it in",
        ),
        ("broker: {namespace: 'a.b'}", "FILE:1: broker.namespace: expected text, of the form "),
        ("web: {port: 1883}", "FILE:1: web.port: devices.mqtt.embedded_port is 1883 too; each needs a port of its own"),
        (
            "web: {enabled: false}\nadapters: {openai: {enabled: true}}",
            "FILE:2: adapters.openai.enabled: it is part of the web server, which is off (web.enabled)",
        ),
        ("transcription: {language: de}", "FILE:1: transcription.language: the model 'bundled' knows English only"),
        ("transcription: {compute_type: float16}", "FILE:1: transcription.compute_type: the CPU has no float16"),
        ("transcription: {device: gpu}", "FILE:1: transcription.device: expected text, of the form "),
        (
            "transcription:\n  devices:\n    attic:\n      language: fr",
            "FILE:4: transcription.devices.attic.language: the model 'bundled' knows English only, got 'fr'",
        ),
        ("transcription:\n  model: tiny.en\n  language: fr", "FILE:3: transcription.language: the model 'tiny.en'"),
    ],
)  # fmt: skip
def test_contradictions(file: Path, text: str, message: str) -> None:
    (problem,) = problems(file, text)
    assert problem.startswith(message)


@pytest.mark.parametrize(
    "text",
    [
        "devices: {mqtt: {url: 'mqtt://host'}}",
        "devices: {mqtt: {url: 'mqtts://ann@host', password_file: pw, ca_file: /ca, cert_file: /c, key_file: /k}}",
        "devices: {mqtt: {url: 'mqtt://ann:se:cr/et@host:1884'}}".replace("/", "%2F").replace(
            ":%2F%2F", "://"
        ),
        "devices: {mqtt: {url: 'mqtt://[::1]:1884'}}",
        "devices: {mqtt: {url: ''}}",
        "orchestrator: {app: ''}",
        "content: {hook: 'my.rules:look', forbidden_words: [damn, déjà vu]}",
        "content: {personal_data: off}",
        "orchestrator: {app: 'my.house:app'}",
        "transcription: {language: de, model: base}",
        "transcription: {language: auto}",
        "recognizers: {use: only}\nbroker: {url: 'redis://host'}",
        "house: {share: true}\nbroker: {url: 'redis://host'}",
        "broker: {url: 'amqps://host', amqp_sasl: EXTERNAL, tls: {cert_file: /etc/earshot/gateway.pem}}",
        "recognizers: {use: only, model: base}\nbroker: {url: 'redis://host'}\ntranscription: {language: de}",
        "web: {port: 1883}\ndevices: {mqtt: {url: ''}}",
        "web: {port: 0}\ndevices: {mqtt: {embedded_port: 0}}",
        "web: {port: 1883, enabled: false}",
    ],
)
def test_no_contradiction(file: Path, text: str) -> None:
    load(file, text)


def test_no_contradiction_is_claimed_with_a_value_that_is_wrong_itself(file: Path) -> None:
    text = "web: {port: 99999}\ndevices: {mqtt: {embedded_port: 8080}}"
    assert len(problems(file, text)) == 1


@pytest.mark.parametrize(
    ("elsewhere", "here", "message"),
    [
        ("rooms: {k: Attic}", "room: Kitchen", "known.k.room: devices.rooms.k is 'Attic', got 'Kitchen'"),
        ("users: {k: ann}", "user: bob", "known.k.user: devices.users.k is 'ann', got 'bob'"),
        (
            "priorities: {devices: {k: urgent}}",
            "priority: normal",
            "known.k.priority: devices.priorities.devices.k is 'urgent', got 'normal'",
        ),
    ],
)
def test_a_device_that_is_named_twice_is_named_alike(
    file: Path, elsewhere: str, here: str, message: str
) -> None:
    text = f"devices: {{{elsewhere}, known: {{k: {{{here}}}}}}}"
    (problem,) = problems(file, text)
    assert problem.startswith(f"FILE:1: devices.{message}; say it in one place")
    load(file, text.replace("Kitchen", "Attic").replace("bob", "ann").replace("normal", "urgent"))


def test_a_page_is_no_known_device(file: Path) -> None:
    (problem,) = problems(file, "devices: {known: {web-panel: {}}}")
    assert problem.startswith("FILE:1: devices.known.web-panel: ids that begin with web- are of pages")
