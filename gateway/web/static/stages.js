// Where the time of an utterance went: its stages, each with its start and length in milliseconds.
// Time is counted from the end of speech; only the speech itself lies before it. No document here.

export const STAGES = {
  capture: "Speech",
  endpoint: "End noticed",
  queue: "Queue",
  recognizer: "Recognizer",
  publish: "Publish",
  orchestrator: "Orchestrator",
  delivery: "Delivery",
};

export const EXPLAINED = {
  capture: "The speech itself; its length is not to scale",
  endpoint: "From the end of speech until that is noticed",
  queue: "Waiting for the recognizer",
  recognizer: "The recognizer at work; it may begin before the end is noticed",
  publish: "From the text until the broker has it",
  orchestrator: "From there until the answer",
  delivery: "From the answer until the device has it",
};

// Anything with `audio`, `timings`, `publishMs`, `answerMs` and `deliveredMs`; the last three may be missing.
export function stagesOf({ audio, timings, publishMs, answerMs, deliveredMs }) {
  if (!audio || !timings) return [];
  const { endpoint_ms: endpoint, queue_ms: queue, recognize_ms: recognizer, text_ms: text } = timings;
  const spoken = 1000 * audio.seconds;
  const begun = text - recognizer;
  const stages = [stage("capture", -spoken, spoken), stage("endpoint", 0, endpoint)];
  stages.push(stage("queue", begun - queue, queue), stage("recognizer", begun, recognizer));
  if (answerMs != null) {
    const publish = Math.min(publishMs ?? 0, answerMs);
    stages.push(stage("publish", text, publish), stage("orchestrator", text + publish, answerMs - publish));
  }
  if (deliveredMs) {
    const answered = text + (answerMs ?? 0);
    stages.push(stage("delivery", answered, Math.max(0, deliveredMs - answered)));
  }
  return stages;
}

function stage(name, start, ms) {
  return { name, start, ms };
}

// From the end of speech to the last thing that is known.
export function totalMs(stages) {
  return Math.max(0, ...stages.map(({ start, ms }) => start + ms));
}

export function textMs(turn) {
  return turn.timings && !turn.error ? turn.timings.text_ms : null;
}

// Until the device has said that it took the reply, the orchestrator's own time is the best known.
export function replyMs(turn) {
  if (turn.deliveredMs) return turn.deliveredMs;
  return turn.answerMs == null ? null : (turn.timings?.text_ms ?? 0) + turn.answerMs;
}
