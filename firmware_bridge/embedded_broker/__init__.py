"""An MQTT broker of the gateway's own, for trying Earshot out."""
