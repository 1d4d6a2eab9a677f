"""Commands for a house of more than one box: its other processes, and how many it takes."""
