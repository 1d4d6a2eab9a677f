// What a screen reader says by itself: final texts, final replies and problems, one sentence each, and no more
// than it can say; of a house in which everybody speaks at once it says only how much there was.

import { byId, element } from "./dom.js";

const MOST_SENTENCES = 4;
const PAUSE_MS = 10_000;

export class Announcer {
  constructor() {
    this.since = -Infinity;
    this.said = 0;
    this.kept = 0;
  }

  // `chosen`: the one device that the page is narrowed to, or null.
  hear(event, chosen) {
    const sentence = sentenceOf(event);
    if (!sentence || (chosen !== null && event.device_id && event.device_id !== chosen)) return;
    const now = performance.now();
    if (now - this.since > PAUSE_MS) {
      if (this.kept) this.say(`${this.kept} more were heard or answered.`);
      Object.assign(this, { since: now, said: 0, kept: 0 });
    }
    if (this.said < MOST_SENTENCES) this.say(sentence);
    else this.kept += 1;
  }

  say(sentence) {
    this.said += 1;
    const region = byId("announcer");
    region.append(element("p", "", sentence));
    while (region.children.length > MOST_SENTENCES) region.firstChild.remove();
  }
}

function sentenceOf(event) {
  if (event.type === "transcription" && event.text) return `${event.device_id} heard: ${event.text}`;
  if (event.type === "reply" && event.final && event.text) return `Reply to ${event.device_id}: ${event.text}`;
  if (event.type === "health" && event.reason) return `${event.component} is ${event.state}: ${event.reason}`;
  return "";
}
