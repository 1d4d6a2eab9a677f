"""What measures, and how it is written down."""
