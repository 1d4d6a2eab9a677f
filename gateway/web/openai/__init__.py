"""OpenAI's audio interface: its routes below /v1, its answers and its errors, onto our recognizer."""
