"""A word in between: what is looked for in a text before anybody gets it, and what becomes of the text then."""
