"""The first part of the way: what devices say, cut into utterances."""
