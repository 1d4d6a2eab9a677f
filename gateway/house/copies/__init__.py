"""Journals kept together: what a gateway calls durable is in the journal of the one that stands by for it, too."""
