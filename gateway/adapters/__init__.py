"""Other people's programs: their protocols onto the same recognizer, sessions and replies."""
