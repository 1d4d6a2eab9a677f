"""Settings of the agents that come ready-made, a module for each kind."""
