"""What is kept of somebody."""
