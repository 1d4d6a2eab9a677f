"""Several devices hear one voice: which of them answers, and why. Off unless the settings switch it on."""
