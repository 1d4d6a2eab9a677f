"""transcription: audio into text.

Audio chunks on one side, transcripts on the other. It knows nothing of devices and nothing of
the gateway.
"""
