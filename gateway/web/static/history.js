// What was said before: searched, listened to, and erased for good.

import { ask, reasonOf, send } from "./ask.js";
import { KeyedList, button, byId, element, setText, span } from "./dom.js";
import { count, duration, moment, seconds } from "./format.js";
import { flagWords, heardKind, heardWords, replyKind, replyMark } from "./words.js";

const PAGE = 30;
const TYPING_MS = 250;
const PARTIAL = "The house's store is away or behind: what others heard may be missing.";

export class HistoryView {
  // `session.may("operate")` says whether this visitor may erase.
  constructor(session) {
    this.session = session;
    this.utterances = [];
    this.next = null;
    this.device = null;
    this.asked = 0;
    this.list = new KeyedList(byId("past"), (utterance) => utterance.utterance_id, (utterance) => this.row(utterance));
    byId("search").addEventListener("submit", (event) => event.preventDefault());
    byId("query").addEventListener("input", () => this.soon());
    byId("older").addEventListener("click", () => this.fetch(this.next));
    byId("erase").addEventListener("close", () => this.erased());
  }

  opened() {
    return this.fetch();
  }

  // Narrowed to another device: that is another question.
  show(_house, chosen) {
    if (chosen === this.device) return;
    this.device = chosen;
    this.soon();
  }

  soon() {
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.fetch(), TYPING_MS);
  }

  async fetch(before = null) {
    const question = new URLSearchParams({ limit: PAGE });
    const wanted = { q: byId("query").value.trim(), device_id: this.device, before };
    for (const [name, value] of Object.entries(wanted)) if (value) question.set(name, value);
    const number = ++this.asked;
    try {
      const { utterances, next, whole } = await ask(`/api/v1/utterances?${question}`);
      if (number !== this.asked) return; // a later question is under way
      this.utterances = before ? [...this.utterances, ...utterances] : utterances;
      this.next = next;
      this.draw([!this.utterances.length && "Nothing was found.", !whole && PARTIAL].filter(Boolean).join(" "));
    } catch (error) {
      if (number === this.asked) this.draw(reasonOf(error));
    }
  }

  draw(note) {
    this.list.show(this.utterances);
    byId("older").hidden = this.next === null;
    setText(byId("history-note"), note);
    setText(byId("history-count"), this.utterances.length ? `${count(this.utterances.length, "utterance")}${this.next === null ? "" : ", and older ones"}` : "");
  }

  row(utterance) {
    const time = moment(utterance.spoken_at);
    const whose = ["device", "user", "gateway"].flatMap((part) => spanOf(`who-${part}`, utterance[part] ?? utterance[`${part}_id`]));
    const who = element("p", "who", ...whose, element("time", "", time));
    const turn = { ...utterance, announced: utterance.announcement, final: true };
    const heard = element("p", "heard", heardWords(turn), ...spanOf("flags", flagWords(utterance.flags)));
    heard.dataset.kind = heardKind(turn);
    const said = element("div", "said", heard);
    if (utterance.reply) said.append(replyOf(utterance));
    const what = `what ${utterance.device_id} ${utterance.announcement ? "was told" : "heard"} at ${time}`;
    const acts = element("p", "acts");
    if (utterance.has_audio) acts.append(button("plain", "Play", () => play(utterance, acts, said), `Play ${what}`));
    if (this.session.may("operate")) acts.append(button("plain quiet", "Erase", () => this.erase(utterance, what), `Erase ${what}`));
    const facts = element("div", "facts", utterance.announcement ? "" : timesOf(utterance), acts);
    return { node: element("li", "turn", who, said, facts), update: () => {} };
  }

  erase(utterance, what) {
    this.condemned = utterance;
    setText(byId("erase-what"), `“${utterance.text || (utterance.announcement && utterance.reply?.text) || "nothing"}”, ${what}: its words and its audio will be gone for good.`);
    byId("erase").returnValue = "";
    byId("erase").showModal();
  }

  async erased() {
    if (byId("erase").returnValue !== "erase") return;
    const { utterance_id: id } = this.condemned;
    try {
      await send(`/api/v1/utterances/${id}`, "DELETE");
      this.utterances = this.utterances.filter((utterance) => utterance.utterance_id !== id);
      this.draw("It was erased.");
      byId("query").focus();
    } catch (error) {
      this.draw(reasonOf(error));
    }
  }
}

function spanOf(kind, words) {
  return words ? [span(kind, words)] : [];
}

function replyOf({ reply, redacted, speech_to_reply_ms: delivered }) {
  const told = { ...reply, delivered, final: true };
  const node = element("div", "reply", element("p", "reply-text", reply.text || (reply.error ? `No answer: ${reply.error}` : redacted ? "Its words are kept from everybody." : "…")), element("p", "mark", replyMark(told)));
  node.dataset.kind = replyKind(told);
  return node;
}

function timesOf({ utterance_id: id, audio, timings, speech_to_reply_ms: delivered, success }) {
  const parts = [audio.seconds && `${seconds(1000 * audio.seconds)} long`, success && `${duration(timings.text_ms)} to text`, delivered && `${duration(delivered)} to reply`];
  const link = element("a", "speed", ...parts.filter(Boolean).map((part) => span("", part)));
  link.href = `#latency/${id}`;
  return link;
}

// The browser's own player, which the keyboard works, too.
function play(utterance, acts, said) {
  const audio = element("audio", "");
  audio.controls = true;
  audio.src = `/api/v1/utterances/${utterance.utterance_id}/audio`;
  audio.setAttribute("aria-label", "The recording");
  audio.addEventListener("error", () => audio.replaceWith(element("p", "mark", "Its audio is not kept any more.")));
  said.append(audio);
  acts.firstChild.remove();
  audio.focus();
  audio.play().catch(() => {}); // the browser may want another click; its controls are there
}
