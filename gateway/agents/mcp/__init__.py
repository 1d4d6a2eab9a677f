"""Tools of MCP servers: a process that holds the client, and what it says to the gateway."""
