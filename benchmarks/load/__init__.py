"""What the product is loaded with: speech, devices, listeners, answers, and a model of real size."""
