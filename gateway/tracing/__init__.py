"""Spans of what was said and answered, for OpenTelemetry; imported only where `tracing.endpoint` is set."""
