"""What spans and their attributes are called: OpenTelemetry's present names, and ours where it has none.

Those of generative AI are still in development (semantic-conventions-genai 0.1); they stand here and nowhere else.
"""

from __future__ import annotations

from typing import Final

# Spans. A turn holds the others; an agent that goes on with the message's ``traceparent`` is beside them.
TURN: Final = "invoke_workflow turn"
CAPTURE: Final = "earshot.capture"
ENDPOINT: Final = "earshot.endpoint"
QUEUE: Final = "earshot.queue"
RECOGNIZER: Final = "speech_to_text"
"""And the model."""
PUBLISH: Final = "send transcription.results"
AGENT: Final = "invoke_agent"
"""And the agent."""
DELIVERY: Final = "earshot.delivery"

# Attributes.
OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
MODEL: Final = "gen_ai.request.model"
CONVERSATION: Final = "gen_ai.conversation.id"
AGENT_NAME: Final = "gen_ai.agent.name"
SPEECH_LANGUAGE: Final = "gen_ai.speech.input.language"
ERROR_TYPE: Final = "error.type"
SESSION: Final = "session.id"
USER: Final = "user.id"
DEVICE: Final = "device.id"
MESSAGE: Final = "messaging.message.conversation_id"
DESTINATION: Final = "messaging.destination.name"
CORRELATION: Final = "earshot.correlation_id"
UTTERANCE: Final = "earshot.utterance_id"
SPEECH_SECONDS: Final = "earshot.speech.duration"
END_REASON: Final = "earshot.speech.end_reason"
LOST_MS: Final = "earshot.speech.lost_ms"
CONFIDENCE: Final = "earshot.confidence"
WORKER: Final = "earshot.recognizer.worker"
LATE: Final = "earshot.reply.late"
FALLBACK: Final = "earshot.reply.fallback"
CACHED: Final = "earshot.reply.cached"
