// What was heard and answered, in words: of a turn that goes on, and of one that is history.

// Why somebody is not answered, though nothing is wrong.
const BY = /^(heard|kept back) by /;
const FLAGS = { personal_data: "personal data", forbidden_words: "forbidden words", changed: "changed", unchecked: "not checked" };

// What the content filter has found in a text, or made of it.
export function flagWords(flags) {
  return flags.length ? `⚑ ${flags.map((flag) => FLAGS[flag] ?? flag).join(", ")}` : "";
}

export function heardWords(turn) {
  if (turn.announced) return "Announcement";
  if (BY.test(turn.error)) return `${turn.error[0].toUpperCase()}${turn.error.slice(1)}.`;
  if (turn.error) return `Not understood: ${turn.error}`;
  return turn.text || (turn.redacted ? "Its words are kept from everybody." : "Nothing was said.");
}

export function heardKind(turn) {
  if (turn.announced) return "silence";
  if (turn.error) return /^heard by /.test(turn.error) ? "silence" : "error";
  if (turn.final) return turn.text ? "final" : "silence";
  return "partial";
}

export function replyKind(reply) {
  if (reply.waits) return "waits";
  if (reply.error) return "error";
  if (!reply.final) return reply.interim ? "interim" : "streaming";
  return reply.fallback ? "fallback" : "final";
}

export function replyMark(reply) {
  const parts = [whoWords(reply)];
  if (reply.interim && !reply.final) parts.push("a first answer, a better one follows");
  else if (reply.late) parts.push(reply.delivered && reply.final ? "late · ✓ delivered" : "late");
  else if (reply.fallback) parts.push("nobody answered");
  else if (reply.delivered && reply.final) parts.push("✓ delivered");
  else if (reply.announced) parts.push("waits for the device");
  parts.push(flagWords(reply.flags ?? []));
  return parts.filter(Boolean).join(" · ");
}

// Who has a part in a reply, and who should have.
function whoWords({ agent, agents = [], missing = [] }) {
  const who = agents.length > 1 ? agents.join(" + ") : agent;
  return missing.length ? `${who}, without ${missing.join(" and ")}` : who;
}
