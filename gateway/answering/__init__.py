"""Who answers, put to work with the gateway: loaded, run inside it, and watched."""
