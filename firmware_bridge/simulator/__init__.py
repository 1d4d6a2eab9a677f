"""A simulated ESP32, its user, and the wires it hangs on."""
