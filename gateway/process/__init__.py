"""This process and its machine: its clock, its files, its tasks, and what goes wrong in any of them."""
