"""Recognizers on other machines: utterances as jobs over the broker, those who ask for them, and those who do them."""
