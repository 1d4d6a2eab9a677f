// The frames of docs/protocol.md as a browser needs them: a device's to bytes, the gateway's from bytes.
//
//   encode(type, header, payload = empty)  -> Uint8Array
//   decode(ArrayBuffer)                    -> frame, or null for what is none
//
// `header`: { link, stream, credit, sequence, acknowledge, timestamp, flags }, each 0 where it is left out.
// A decoded frame is { type, header, ...fields }.

const TYPES = {
  HELLO: 0x01, WELCOME: 0x02, AUDIO_START: 0x10, AUDIO: 0x11, AUDIO_STOP: 0x12, STATUS: 0x20, PARTIAL: 0x21,
  TRANSCRIPT: 0x22, REPLY: 0x23, ACK: 0x30, PING: 0x31, PONG: 0x32, FAULT: 0x3f,
};
const STATUSES = ["idle", "listening", "transcribing", "thinking", "busy", "error"];
const FAULTS = [
  "", "say_hello", "unsupported_version", "unknown_type", "malformed", "too_large", "duplicate_id", "bad_id", "refused",
  "bad_audio", "out_of_credit", "shutting_down",
];

export const RESENT = 1;
export const END_ON_SILENCE = 2; // of AUDIO_START and AUDIO
export const WANTS_PARTIALS = 2; // of HELLO
export const WANTS_PIECES = 4; // of HELLO

const VERSION = 1;
const HEADER_BYTES = 20;
const HEADER = [
  ["flags", 2, 8], ["link", 3, 8], ["stream", 4, 16], ["credit", 6, 16], ["sequence", 8, 32], ["acknowledge", 12, 32], ["timestamp", 16, 32],
]; // and where each stands, with how many bits
const MOST_BYTES = HEADER_BYTES + 2048;
const NONE = new Uint8Array(0);
const NAMES = new Map(Object.entries(TYPES).map(([name, code]) => [code, name]));
const utf8 = new TextEncoder();
const text = new TextDecoder();

export function encode(type, header, payload = NONE) {
  const frame = new Uint8Array(HEADER_BYTES + payload.length);
  const view = new DataView(frame.buffer);
  view.setUint8(0, VERSION);
  view.setUint8(1, TYPES[type]);
  for (const [name, at, bits] of HEADER) view[`setUint${bits}`](at, header[name] ?? 0, true);
  frame.set(payload, HEADER_BYTES);
  return frame;
}

// `durable`, `oldest` and `next` are numbers of frames, `ring` how many the device keeps, `mtu` bytes.
export function helloPayload({ id, boot, fw = "", ring, next, oldest, durable, mtu = 2048 }) {
  return utf8.encode(JSON.stringify({ id, boot, fw, ring, next, oldest, durable, mtu }));
}

// Of an ACK that asks for nothing: `oldest` is the oldest number the device still holds.
export function ackPayload(oldest) {
  const payload = new Uint8Array(5);
  new DataView(payload.buffer).setUint32(0, oldest, true);
  return payload;
}

// Samples (Int16Array, 16 kHz, mono) as the payload of an AUDIO frame.
export function audioPayload(samples) {
  const payload = new Uint8Array(2 * samples.length);
  const view = new DataView(payload.buffer);
  samples.forEach((sample, index) => view.setInt16(2 * index, sample, true));
  return payload;
}

export function decode(buffer) {
  if (buffer.byteLength < HEADER_BYTES || buffer.byteLength > MOST_BYTES) return null;
  const view = new DataView(buffer);
  const type = NAMES.get(view.getUint8(1));
  if (view.getUint8(0) !== VERSION || type === undefined) return null;
  const header = Object.fromEntries(HEADER.map(([name, at, bits]) => [name, view[`getUint${bits}`](at, true)]));
  const payload = new DataView(buffer, HEADER_BYTES);
  const [least, read] = FIELDS[type] ?? [0, () => ({})];
  const fields = payload.byteLength < least ? null : read(payload, header);
  return fields && { type, header, ...fields };
}

// By type: how many bytes its payload has at least, and what it says; null: it is none.
const FIELDS = {
  WELCOME: [14, (payload) => ({
    boot: payload.getUint32(0, true),
    resumeFrom: payload.getUint32(4, true),
    downNext: payload.getUint32(8, true),
    maxPayload: payload.getUint16(12, true),
  })],
  STATUS: [1, (payload) => ({ status: STATUSES[payload.getUint8(0)] ?? "" })],
  PARTIAL: [2, (payload) => {
    const said = rest(payload, 2);
    return { text: text.decode(said), stable: text.decode(said.subarray(0, payload.getUint16(0, true))) };
  }],
  TRANSCRIPT: [1, labelled],
  REPLY: [1, (payload, { flags }) => {
    const fields = labelled(payload);
    const [final, fallback, error, continued, whole] = [2, 4, 8, 16, 32].map((bit) => !!(flags & bit));
    return fields && { ...fields, final, fallback, error, continued, whole };
  }],
  ACK: [5, (payload) => {
    const end = 5 + 8 * payload.getUint8(4);
    if (payload.byteLength < end) return null;
    const missing = [];
    for (let at = 5; at < end; at += 8) missing.push([payload.getUint32(at, true), payload.getUint32(at + 4, true)]);
    return { durable: payload.getUint32(0, true), missing };
  }],
  FAULT: [2, (payload) => ({ code: FAULTS[payload.getUint8(0)] ?? "", message: text.decode(rest(payload, 2)) })],
};

function labelled(payload) {
  const end = 1 + payload.getUint8(0);
  if (payload.byteLength < end) return null;
  return { correlationId: text.decode(rest(payload, 1).subarray(0, end - 1)), text: text.decode(rest(payload, end)) };
}

function rest(payload, from) {
  return new Uint8Array(payload.buffer, payload.byteOffset + from, payload.byteLength - from);
}
