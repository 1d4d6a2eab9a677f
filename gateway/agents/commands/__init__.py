"""Agents of kind commands: what is said by patterns with slots, what is done then, and what is answered."""
