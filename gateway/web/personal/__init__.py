"""What is kept of one user: given to them, erased, and what is left elsewhere."""
