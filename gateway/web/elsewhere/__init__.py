"""What is asked at one hub of the house and done by another gateway."""
