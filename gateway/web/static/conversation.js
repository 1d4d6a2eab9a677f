// The live conversation: one row per utterance, as they began, the newest last.
// A row never moves: it grows in place, and the view stays at the end unless it was scrolled.

import { copyable } from "./copyable.js";
import { STATUS_WORDS } from "./devices.js";
import { KeyedList, byId, element, setAttribute, setText, span } from "./dom.js";
import { duration, moment } from "./format.js";
import { replyMs, textMs } from "./stages.js";
import { Tail } from "./tail.js";
import { flagWords, heardKind, heardWords, replyKind, replyMark } from "./words.js";

const MOST_ROWS = 60;

export class Feed {
  constructor() {
    this.list = new KeyedList(byId("feed"), (turn) => turn.id, turnRow);
    this.tail = new Tail(byId("feed-scroll"), byId("newest"));
  }

  show(house, chosen) {
    const turns = [...house.turns.values()].filter((turn) => chosen === null || turn.device === chosen);
    const rows = turns.slice(-MOST_ROWS);
    rows.forEach((turn, index) => {
      turn.follows = !turn.announced && rows[index - 1]?.session === turn.session;
      turn.thinking = house.isThinking(turn);
    });
    this.tail.keep(() => this.list.show(rows));
    byId("feed-empty").hidden = rows.length > 0;
  }
}

function turnRow(first) {
  const device = span("who-device", first.device);
  const user = span("who-user", first.user);
  const time = element("time", "");
  const sure = span("");
  const tentative = span("tentative");
  const flags = span("flags");
  const heard = element("p", "heard", sure, tentative, flags);
  const replies = element("div", "replies");
  const facts = element("p", "facts");
  const list = new KeyedList(replies, (reply) => reply.number, replyRow);
  const speed = element("a", "speed");
  speed.append(span(""), span(""));
  speed.href = `#latency/${first.id}`;
  speed.hidden = first.announced;
  const ids = span("ids", ...(first.session ? [copyable("Session", first.session)] : []));
  let correlation = "";
  facts.append(speed, ids);
  const node = element("li", "turn", element("p", "who", device, user, time), element("div", "said", heard, replies), facts);
  let shown = "";
  return {
    node,
    update: (turn) => {
      const version = `${turn.version} ${turn.follows} ${turn.thinking}`;
      if (version === shown) return;
      shown = version;
      node.classList.toggle("follows", turn.follows);
      setText(time, moment(turn.timestamp));
      const kind = heardKind(turn);
      setAttribute(heard, "data-kind", kind);
      setText(sure, kind === "partial" ? turn.stable : heardWords(turn));
      setText(tentative, kind === "partial" ? partialTail(turn) : "");
      setText(flags, flagWords(turn.flags));
      list.show(repliesOf(turn));
      speedWords(turn).forEach((words, index) => setText(speed.children[index], words));
      if (turn.correlation && !correlation) ids.append(copyable("Correlation", turn.correlation));
      correlation = turn.correlation;
    },
  };
}

// What may still change.
function partialTail(turn) {
  return turn.partial ? turn.partial.slice(turn.stable.length) : "…";
}

function speedWords(turn) {
  const [text, reply] = [textMs(turn), replyMs(turn)];
  const by = turn.worker ? ` by ${turn.worker}` : "";
  return [text == null ? "" : `${duration(text)} to text${by}`, reply == null ? "" : `${duration(reply)} to reply`];
}

// While an answer is awaited, the row of the first one stands there already.
function repliesOf(turn) {
  if (turn.thinking) return [{ number: 0, agent: "", waits: true }];
  return [...turn.replies.values()].map((reply, number) => ({ ...reply, number, delivered: turn.delivered, announced: turn.announced }));
}

function replyRow() {
  const text = element("p", "reply-text");
  const mark = element("p", "mark");
  const node = element("div", "reply", text, mark);
  return {
    node,
    update: (reply) => {
      text.textContent = replyWords(reply);
      setAttribute(node, "data-kind", replyKind(reply));
      setText(mark, replyMark(reply));
    },
  };
}

function replyWords(reply) {
  if (reply.waits) return STATUS_WORDS.thinking;
  return reply.error ? reply.text || `No answer: ${reply.error}` : reply.text;
}
