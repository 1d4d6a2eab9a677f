"""An agent that asks a language model, behind any OpenAI-compatible chat endpoint."""
