"""Who is there to answer, and how they do: what is known of each agent that the configuration names."""
