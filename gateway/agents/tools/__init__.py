"""What a model may do beside talking: tools, where they come from, and what keeps them within bounds."""
