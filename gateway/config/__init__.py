"""config.yaml: read, checked, explained, changed; and the places that follow from it."""
