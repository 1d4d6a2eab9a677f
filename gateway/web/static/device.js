// A device in the browser (docs/protocol.md; its use: 2.4): audio to the gateway, what was understood and answered back. No DOM.

import {
  ackPayload, audioPayload, decode, encode, helloPayload, END_ON_SILENCE, RESENT, WANTS_PARTIALS, WANTS_PIECES,
} from "./frames.js";

export const FRAME_SAMPLES = 960; // 60 ms
export const RING_FRAMES = 1536;
const DOWN_CREDIT = 32;
const DOWN_RING = 256;
const REMEMBERED = 32;
const TICK_MS = 50;
const ACK_MS = 40;
const HELLO_AGAIN_MS = 250;
const LONGEST_HELLO_MS = 8000;
const RESEND_MS = 250;
const LONGEST_RESEND_MS = 4000;
const REFUSED_MS = 10000;
const STOPPED_MS = 1000;
const PING_MS = 5000;
const BLOCKED_MS = 1000;
const UNHEARD_MS = 15000;
const FIRST_PAUSE_MS = 250;
const LONGEST_PAUSE_MS = 5000;
const REFUSALS = new Set(["unsupported_version", "duplicate_id", "bad_id", "refused", "shutting_down"]);

// How far it is from `a` to `b`, both numbers of 32 bits that wrap.
const distance = (a, b) => (b - a) | 0;
const after = (number) => (number + 1) >>> 0;

export function toPcm16(floats) {
  return Int16Array.from(floats, (sample) => Math.max(-32768, Math.min(32767, Math.round(32768 * sample))));
}

export class Device {
  constructor(id, listener = {}, url = `${location.origin.replace("http", "ws")}/device`) {
    this.id = id;
    this.url = url;
    this.state = "offline";
    this.lost = 0;
    this.listener = listener;
    this.boot = randomBoot();
    this.ring = new Ring(RING_FRAMES);
    this.streams = new Map();
    this.lastStream = 0;
    this.expected = 0;
    this.link = 0;
    this.texts = new Map(); // of the replies that have begun and not ended
    this.had = { TRANSCRIPT: [], REPLY: [] };
    this.socket = null;
    this.ackAt = null;
    this.pause = FIRST_PAUSE_MS;
  }

  open() {
    this.ticking ??= setInterval(() => this.tick(performance.now()), TICK_MS);
    this.connect();
  }

  close() {
    clearInterval(this.ticking);
    clearTimeout(this.retrying);
    this.ticking = null;
    this.drop();
    this.move("offline");
  }

  // How many frames the gateway has not got yet.
  get unacknowledged() {
    return this.ring.unacknowledged;
  }

  start({ endOnSilence = false } = {}) {
    const number = (this.lastStream = (this.lastStream % 0xffff) + 1);
    const flags = endOnSilence ? END_ON_SILENCE : 0;
    this.streams.set(number, { flags, position: 0, rest: new Int16Array(0) });
    this.ring.insist({ type: "AUDIO_START", stream: number, flags, timestamp: 0 });
    this.pump();
    return number;
  }

  audio(number, samples) {
    const stream = this.streams.get(number);
    if (!stream) return;
    const all = new Int16Array(stream.rest.length + samples.length);
    all.set(stream.rest);
    all.set(samples, stream.rest.length);
    let from = 0;
    for (; all.length - from >= FRAME_SAMPLES; from += FRAME_SAMPLES) {
      this.append(number, stream, all.subarray(from, from + FRAME_SAMPLES));
    }
    stream.rest = all.slice(from);
    this.pump();
  }

  stop(number) {
    const stream = this.streams.get(number);
    if (!stream) return;
    this.streams.delete(number);
    if (stream.rest.length) this.append(number, stream, stream.rest);
    this.ring.insist({ type: "AUDIO_STOP", stream: number, flags: 0, timestamp: stream.position });
    this.pump();
  }

  append(number, stream, samples) {
    const frame = {
      type: "AUDIO", stream: number, flags: stream.flags, timestamp: stream.position, payload: audioPayload(samples),
    };
    stream.position = (stream.position + samples.length) >>> 0;
    if (!this.ring.append(frame)) this.lost += samples.length;
  }

  connect() {
    clearTimeout(this.retrying);
    this.drop();
    const socket = (this.socket = new WebSocket(this.url));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.greet(performance.now());
    socket.onmessage = (message) => this.receive(message.data, performance.now());
    socket.onclose = (event) => {
      if (socket !== this.socket) return; // closed by ourselves
      this.socket = null;
      this.move("offline", event.reason);
      this.retrying = setTimeout(() => this.connect(), this.pause * (0.5 + Math.random() / 2));
      this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
    };
  }

  drop() {
    const socket = this.socket;
    this.socket = null;
    socket?.close();
  }

  greet(now) {
    this.move("greeting");
    this.greetingSince = milliseconds(now);
    this.helloAt = now;
    this.patience = HELLO_AGAIN_MS;
    this.pump(now);
  }

  receive(data, now = performance.now()) {
    const frame = data instanceof ArrayBuffer ? decode(data) : null;
    if (frame === null) return;
    if (frame.type === "WELCOME") this.welcomed(frame, now);
    else if (frame.type === "FAULT") this.faulted(frame, now);
    else if (this.state === "linked" && frame.header.link === this.link) this.take(frame, now);
    this.pump(now);
  }

  take(frame, now) {
    this.heardAt = now;
    this.ring.acknowledge(frame.header.acknowledge, frame.header.credit, now);
    if (frame.type === "ACK") {
      this.ring.forget(frame.durable);
      if (!this.ring.request(frame.missing)) this.ackAt = now; // it is gone: ours says what is still held
    } else if (frame.type === "PING") {
      this.send("PONG", { timestamp: frame.header.timestamp });
    } else if (frame.type === "PARTIAL") {
      this.tell("onPartial", { stream: frame.header.stream, text: frame.text, stable: frame.stable });
    } else if (["STATUS", "TRANSCRIPT", "REPLY"].includes(frame.type)) {
      this.ackAt ??= now + ACK_MS;
      if (frame.header.sequence !== this.expected) return; // had before; or early, which comes again
      this.expected = after(this.expected);
      this.show(frame);
    }
  }

  show({ type, header: { stream }, ...frame }) {
    if (type === "STATUS") return this.tell("onStatus", { stream, status: frame.status });
    const known = this.had[type];
    if (known.includes(frame.correlationId)) return; // told before a restart of the gateway
    if (type === "TRANSCRIPT" || frame.final) known.push(frame.correlationId);
    if (known.length > REMEMBERED) known.shift();
    const { correlationId, text } = frame;
    if (type === "TRANSCRIPT") return this.tell("onTranscript", { stream, correlationId, text });
    const soFar = (frame.whole ? "" : this.texts.get(correlationId) ?? "") + text;
    this.texts.delete(correlationId);
    if (!frame.final) this.texts.set(correlationId, soFar);
    if (this.texts.size > REMEMBERED) this.texts.delete(this.texts.keys().next().value);
    if (frame.continued) return;
    const { final, fallback, error } = frame;
    this.tell("onReply", { stream, correlationId, text: soFar, final, fallback, error });
  }

  welcomed({ header, boot, resumeFrom, downNext }, now) {
    const early = distance(this.greetingSince, header.timestamp) < 0;
    if (this.state !== "greeting" || boot !== this.boot || early) return;
    if (distance(resumeFrom, this.ring.next) < 0) {
      this.boot = randomBoot(); // the gateway has had more of this boot than there is: it was drawn before
      this.helloAt = now;
      return;
    }
    const far = distance(downNext, this.expected);
    const isAnother = far < 0 || far > DOWN_RING; // run of the gateway
    if (isAnother || header.link !== this.link) this.texts.clear(); // what was told in part is told from its beginning
    if (isAnother) this.expected = downNext;
    this.link = header.link;
    this.heardAt = this.sentAt = now;
    this.pause = FIRST_PAUSE_MS;
    this.ring.rewind(resumeFrom, header.credit, now);
    this.ackAt = null;
    this.move("linked");
  }

  faulted({ header, code, message }, now) {
    const linked = this.state === "linked" && header.link === this.link;
    const greeting = this.state === "greeting" && !header.link && [this.boot, 0].includes(header.timestamp);
    if (!linked && !greeting) return;
    if (code === "say_hello" && linked) return this.greet(now);
    if (!REFUSALS.has(code)) return;
    this.helloAt = now + (code === "shutting_down" ? STOPPED_MS : REFUSED_MS);
    this.move("refused", message);
  }

  tick(now) {
    if (this.state === "refused" && now >= this.helloAt && this.socket) this.greet(now);
    if (this.state === "linked" && now >= this.heardAt + UNHEARD_MS) {
      this.move("offline", "the gateway is not heard any more");
      return this.connect(); // the socket may be half open
    }
    if (this.state === "linked") this.ring.tick(now);
    this.pump(now);
  }

  pump(now = performance.now()) {
    if (this.state === "greeting" && now >= this.helloAt) this.hello(now);
    if (this.state !== "linked") return;
    for (const frame of this.ring.take(now)) this.send(frame.type, frame, frame.payload);
    if (this.ackAt !== null && now >= this.ackAt) this.send("ACK", { timestamp: milliseconds(now) }, ackPayload(this.ring.oldest));
    const idle = this.ring.blocked ? BLOCKED_MS : PING_MS;
    if (now >= this.sentAt + idle) this.send("PING", { timestamp: milliseconds(now) });
  }

  hello(now) {
    this.helloAt = now + this.patience;
    this.patience = Math.min(2 * this.patience, LONGEST_HELLO_MS);
    const { next, oldest, durable } = this.ring;
    const payload = helloPayload({ id: this.id, boot: this.boot, fw: "browser", ring: RING_FRAMES, next, oldest, durable });
    const header = { flags: WANTS_PARTIALS | WANTS_PIECES, credit: DOWN_CREDIT, acknowledge: this.expected, timestamp: milliseconds(now) };
    this.write(encode("HELLO", header, payload));
  }

  send(type, header, payload) {
    this.write(encode(type, { ...header, link: this.link, credit: DOWN_CREDIT, acknowledge: this.expected }, payload));
    this.sentAt = performance.now();
    this.ackAt = null; // every header acknowledges
  }

  write(bytes) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(bytes);
  }

  move(state, reason = "") {
    if (state === this.state && !reason) return;
    this.state = state;
    this.tell("onState", state, reason);
  }

  tell(name, ...what) {
    this.listener[name]?.(...what);
  }
}

// Numbered frames, kept until they are durable. When it is full, the oldest acknowledged goes; where none was, new audio finds no
// room. Starts and stops wait, and so does all after them.
class Ring {
  constructor(capacity) {
    this.capacity = capacity;
    this.frames = [];
    this.waiting = [];
    this.oldest = this.next = this.durable = this.acknowledged = this.sendNext = this.limit = 0;
    this.asked = new Set();
    this.everSent = 0;
    this.resendAt = Infinity;
    this.patience = RESEND_MS;
  }

  get unacknowledged() {
    return this.waiting.length + distance(this.acknowledged, this.next);
  }

  // Whether frames wait for credit.
  get blocked() {
    return this.sendNext !== this.next && distance(this.sendNext, this.limit) <= 0;
  }

  append(frame) {
    this.settle();
    if (this.waiting.length || !this.room()) return false;
    this.push(frame);
    return true;
  }

  insist(frame) {
    this.waiting.push(frame);
    this.settle();
  }

  settle() {
    while (this.waiting.length && this.room()) this.push(this.waiting.shift());
  }

  push(frame) {
    this.frames.push({ ...frame, sequence: this.next });
    this.next = after(this.next);
  }

  room() {
    if (this.frames.length >= this.capacity && distance(this.oldest, this.acknowledged) > 0) this.shift();
    return this.frames.length < this.capacity;
  }

  shift() {
    this.frames.shift();
    this.oldest = after(this.oldest);
  }

  acknowledge(number, credit, now) {
    const taken = distance(this.acknowledged, number);
    if (taken < 0 || distance(number, this.next) < 0) return; // an old one, or nonsense
    if (taken > 0) {
      this.acknowledged = number;
      this.patience = RESEND_MS;
      this.resendAt = now + RESEND_MS;
      if (distance(this.sendNext, number) > 0) this.sendNext = number;
    }
    this.limit = (number + credit) >>> 0;
  }

  forget(durable) {
    if (distance(this.durable, durable) <= 0 || distance(durable, this.next) < 0) return;
    this.durable = durable;
    while (distance(this.oldest, durable) > 0) this.shift();
    if (distance(this.acknowledged, durable) > 0) this.acknowledged = durable;
    if (distance(this.sendNext, durable) > 0) this.sendNext = durable;
    this.settle();
  }

  // Send these again; false: some are not held any more.
  request(ranges) {
    let held = true;
    for (const [first, last] of ranges) {
      if (distance(first, last) < 0 || distance(first, last) > this.capacity) continue;
      for (let number = first; distance(number, last) >= 0; number = after(number)) {
        if (distance(this.oldest, number) < 0) held = false;
        else if (distance(number, this.sendNext) > 0) this.asked.add(number);
      }
    }
    return held;
  }

  rewind(from, credit, now) {
    this.asked.clear();
    this.acknowledged = from;
    this.sendNext = distance(from, this.oldest) > 0 ? this.oldest : from;
    this.limit = (from + credit) >>> 0;
    this.patience = RESEND_MS;
    this.resendAt = now + RESEND_MS;
  }

  // What nothing follows is found missing by being sent again.
  tick(now) {
    if (this.acknowledged === this.sendNext || now < this.resendAt) return;
    this.patience = Math.min(2 * this.patience, LONGEST_RESEND_MS);
    this.resendAt = now + this.patience;
    if (distance(this.oldest, this.acknowledged) >= 0) this.asked.add(this.acknowledged);
  }

  *take(now) {
    this.settle();
    for (const number of this.asked) {
      const frame = this.frames[distance(this.oldest, number)];
      if (frame) yield { ...frame, flags: frame.flags | RESENT };
    }
    this.asked.clear();
    while (this.sendNext !== this.next && distance(this.sendNext, this.limit) > 0) {
      const frame = this.frames[distance(this.oldest, this.sendNext)];
      if (this.acknowledged === this.sendNext) this.resendAt = now + this.patience;
      const again = distance(this.sendNext, this.everSent) > 0;
      this.sendNext = after(this.sendNext);
      if (!again) this.everSent = this.sendNext;
      if (frame) yield again ? { ...frame, flags: frame.flags | RESENT } : frame;
    }
  }
}

function randomBoot() {
  return crypto.getRandomValues(new Uint32Array(1))[0];
}

function milliseconds(now) {
  return Math.floor(now) >>> 0;
}
