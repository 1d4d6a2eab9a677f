"""All operations of the API together, as routes of the web server."""
