"""``earshot models``: which speech models there are, and what each costs here."""
