"""HTTP requests, wherever they are served: each under an id of its own, timed and counted."""
