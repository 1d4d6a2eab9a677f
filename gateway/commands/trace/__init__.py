"""`earshot trace`: one utterance's whole life, from the journal and the log."""
