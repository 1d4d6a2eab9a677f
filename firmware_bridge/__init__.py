"""firmware_bridge: wires into frames.

Serial lines and MQTT topics on one side, the :mod:`firmware_bridge.link.events` of named devices
on the other. It knows nothing of speech recognition and nothing of the gateway.
"""
