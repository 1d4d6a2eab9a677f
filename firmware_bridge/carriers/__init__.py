"""What carries the link: serial ports and MQTT."""
