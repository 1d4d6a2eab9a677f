"""Firmware images: signed, in one file with what is signed, handed out piece by piece, and taken by a device."""
