"""Home Assistant's MQTT discovery: devices and gateway as it sees them, and what it has them announce."""
