"""What others rely on: messages, events, their schemas, and how words are made safe to show."""
