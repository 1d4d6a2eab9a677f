"""The end of the way: what devices and listeners are told, and which devices there are."""
