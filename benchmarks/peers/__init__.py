"""Other people's servers and libraries, for Earshot to be held against."""
