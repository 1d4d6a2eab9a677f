"""What the running gateway is made of, as families of figures, and what they say in words."""
