// The house as the events so far tell it. No document here: events in, state out, all of it bounded.

const KINDS = new Set(["snapshot", "device", "status", "partial", "transcription", "reply", "delivery", "health", "arbitration"]);
const MOST_SESSIONS = 400;
const MOST_TURNS = 400;
const MOST_DEVICES = 1024;
const MOST_REPLY_CHARACTERS = 16384;
const BADNESS = { unhealthy: 0, degraded: 1 };

export class House {
  constructor() {
    this.changes = 0;
    this.clear();
  }

  clear() {
    this.devices = new Map();
    this.sessions = new Map();
    this.turns = new Map();
    this.components = new Map();
  }

  apply(event) {
    if (KINDS.has(event.type)) this[event.type](event);
  }

  snapshot(event) {
    this.clear();
    for (const part of [event.devices, event.conversation, event.sessions, event.health]) {
      part.forEach((item) => this.apply(item));
    }
  }

  // Only here a device becomes known: visitors who have left make none.
  device(event) {
    // A closed page is no device that is missing.
    const left = event.state !== "connected" && event.device_id.startsWith("web-");
    if (left || event.state === "forgotten") {
      this.devices.delete(event.device_id);
      return;
    }
    const device = this.deviceOf(event);
    Object.assign(device, { user: event.user_id, room: event.room ?? "" });
    if (event.notice === "level") Object.assign(device, { level: event.value, levelAt: performance.now() });
    if (event.notice) return;
    const { state, link, firmware, reason } = event;
    Object.assign(device, { state, reason });
    if (state === "connected" || !device.link) Object.assign(device, { link, firmware });
    if (state !== "connected") device.status = "idle";
    device.lostFrames += event.lost_frames;
  }

  status(event) {
    const device = this.devices.get(event.device_id);
    if (device) device.status = event.status;
    const session = this.sessionOf(event);
    session.status = event.status;
    for (const turn of session.open) this.touch(turn);
    if (event.status !== "thinking") session.open.clear();
  }

  partial(event) {
    const turn = this.turnOf(event);
    if (!turn.final) Object.assign(turn, { partial: event.text, stable: event.stable });
  }

  transcription(event) {
    const turn = this.turnOf(event);
    Object.assign(turn, {
      text: event.text,
      error: event.success ? null : (event.error ?? "not transcribed"),
      final: true,
      correlation: event.correlation_id,
      timestamp: event.spoken_at || turn.timestamp,
      audio: event.audio,
      timings: event.timings,
      flags: event.flags ?? [],
      worker: event.worker ?? "",
    });
    this.sessionOf(event).open.add(turn);
    const device = this.devices.get(event.device_id);
    if (!device) return;
    device.gaps += event.audio.gaps;
    device.lostMs += event.audio.lost_ms;
    device.heardAt = event.timestamp;
  }

  reply(event) {
    const turn = this.turnOf(event);
    const key = `${event.agent} ${event.late}`;
    const before = turn.replies.get(key);
    if (event.late && event.final && !event.error) replaceFallback(turn);
    const whole = event.interim || (event.final && event.text); // an end without a text is its pieces'
    const said = whole ? event.text : (before?.text ?? "") + event.text;
    if (event.final && !event.late) forgetWhatWasShown(turn.replies);
    turn.replies.set(key, {
      key,
      agent: event.agent,
      text: said.slice(0, MOST_REPLY_CHARACTERS),
      final: event.final,
      late: event.late,
      interim: event.interim ?? false,
      agents: event.agents ?? [],
      missing: event.partial ? event.missing : [],
      fallback: event.fallback,
      error: event.error,
      flags: event.flags ?? [],
      ms: event.text_to_reply_ms,
    });
    if (event.final && !event.late && !turn.announced) Object.assign(turn, { answerMs: event.text_to_reply_ms, publishMs: event.publish_ms ?? 0 });
  }

  arbitration(event) {
    Object.assign(this.turnOf(event), { error: event.reason, final: true });
  }

  delivery(event) {
    const turn = this.turnOf(event);
    Object.assign(turn, { delivered: true, deliveredMs: turn.announced ? null : event.speech_to_reply_ms });
  }

  health(event) {
    const component = [event.gateway, event.component].filter(Boolean).join(": ");
    if (event.state === "forgotten") this.components.delete(component);
    else this.components.set(component, { ...event, component });
  }

  // What is wrong, worst first; then by what matters most.
  problems() {
    return [...this.components.values()].filter((component) => component.state in BADNESS).sort(byWeight);
  }

  // Whether an answer is awaited.
  isThinking(turn) {
    const waits = turn.final && turn.text && !turn.error && turn.replies.size === 0;
    return Boolean(waits) && this.sessions.get(turn.session)?.status === "thinking";
  }

  deviceOf({ device_id: id, user_id: user }) {
    const fresh = () => ({
      id, user, room: "", state: "connected", status: "idle", link: "", firmware: "", reason: "",
      level: -96, levelAt: -Infinity, lostFrames: 0, gaps: 0, lostMs: 0, heardAt: 0,
    });
    return entry(this.devices, id, fresh, MOST_DEVICES);
  }

  sessionOf({ session_id: id }) {
    return entry(this.sessions, id, () => ({ id, status: "idle", open: new Set() }), MOST_SESSIONS);
  }

  // An announcement is a row of its own: nothing was heard.
  turnOf(event) {
    const { utterance_id: utterance, correlation_id: correlation, timestamp, session_id: session, device_id: device, user_id: user } = event;
    const id = utterance || correlation;
    const fresh = () => ({
      id, session, device, announced: !utterance, user, timestamp, correlation: utterance ? "" : correlation, partial: "", stable: "", text: "", final: false, flags: [],
      error: null, audio: null, timings: null, replies: new Map(), delivered: false,
      answerMs: null, publishMs: 0, deliveredMs: null, version: 0,
    });
    const turn = entry(this.turns, id, fresh, MOST_TURNS);
    this.touch(turn);
    return turn;
  }

  // No version comes twice.
  touch(turn) {
    this.changes += 1;
    turn.version = this.changes;
  }
}

export function byWeight(a, b) {
  const badness = ({ state, works }) => 2 * (BADNESS[state] ?? 2) + Number(works !== false);
  return badness(a) - badness(b) || a.rank - b.rank || a.component.localeCompare(b.component);
}

function entry(map, key, fresh, most) {
  if (!map.has(key)) {
    map.set(key, fresh());
    if (map.size > most) map.delete(map.keys().next().value);
  }
  return map.get(key);
}

// An answer after all: in its place.
function replaceFallback(turn) {
  const apology = [...turn.replies].find(([, reply]) => reply.fallback);
  if (!apology) return;
  turn.replies.delete(apology[0]);
  turn.delivered = false;
}

// What was shown before the reply came.
function forgetWhatWasShown(replies) {
  for (const [key, reply] of replies) if (!reply.final && !reply.late) replies.delete(key);
}
