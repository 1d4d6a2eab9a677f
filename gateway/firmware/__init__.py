"""Firmware images of the house: kept, offered to whom somebody said, and how far each device has come."""
