"""What config.yaml can say: one file for each section of the gateway's own, pure declarations.

Every field's description is the comment above it in config.yaml and in the JSON schema.
"""
