"""One utterance out of a stream: is it speech, and where does it begin and end."""
