// Where the time goes: of one utterance, of each device, and over time.

import { ask } from "./ask.js";
import { KeyedList, byId, element, rowOf, setAttribute, setText, span, tableOf } from "./dom.js";
import { duration, moment } from "./format.js";
import { Plot } from "./plot.js";
import { STAGES, replyMs, stagesOf, textMs, totalMs } from "./stages.js";
import { percentile } from "./statistics.js";
import { Waterfall, strip } from "./waterfall.js";

const METRICS = { reply: ["Speech to reply", replyMs], text: ["Speech to text", textMs] };
const MOST_STRIPS = 40;
const MOST_PAST = 200;
const COLUMNS = ["Device", "Said", "Text, half", "95 %", "Reply, half", "95 %"];

export class LatencyView {
  constructor(onChange) {
    this.past = new Map();
    this.metric = "reply";
    this.wanted = "";
    this.plot = new Plot(byId("plot"));
    this.waterfall = new Waterfall(byId("waterfall"));
    this.strips = new KeyedList(byId("strips"), ({ turn }) => turn.id, stripRow);
    for (const [name, [label]] of Object.entries(METRICS)) byId("metric").append(this.choice(name, label, onChange));
    byId("legend").append(...Object.entries(STAGES).filter(([name]) => name !== "capture").map(([name, label]) => span(`key ${name}`, label)));
    const { table, rows } = tableOf(COLUMNS);
    byId("by-device").append(table);
    this.devices = rows;
  }

  choice(name, label, onChange) {
    const radio = element("input", "");
    Object.assign(radio, { type: "radio", name: "metric", checked: name === this.metric });
    radio.addEventListener("change", () => {
      this.metric = name;
      onChange();
    });
    return element("label", "", radio, span("", label));
  }

  // `id`: the utterance whose waterfall is wanted; empty: none in particular.
  opened(id) {
    this.wanted = id;
    return ask(`/api/v1/utterances?limit=${MOST_PAST}`).then(
      ({ utterances }) => utterances.filter(({ announcement }) => !announcement).forEach((utterance) => this.past.set(utterance.utterance_id, turnOf(utterance))),
      () => {}, // the page's own memory is enough to begin with
    );
  }

  show(house, chosen) {
    const turns = this.measured(house).filter((turn) => chosen === null || turn.device === chosen);
    byId("latency").hidden = turns.length === 0;
    byId("latency-empty").hidden = turns.length > 0;
    if (turns.length === 0) return;
    const [label, of] = METRICS[this.metric];
    this.plot.show(pointsOf(turns, of), label);
    this.devices.replaceChildren(...byDevice(turns).map(deviceRow));
    // Unless one is asked for: the latest that went the whole way.
    const shown = turns.find((turn) => turn.id === this.wanted) ?? turns.findLast((turn) => turn.deliveredMs) ?? turns.at(-1);
    this.waterfall.show(shown);
    const recent = turns.slice(-MOST_STRIPS).reverse();
    const fullMs = Math.max(...recent.map((turn) => totalMs(stagesOf(turn))));
    this.strips.show(recent.map((turn) => ({ turn, fullMs, current: turn === shown })));
  }

  measured(house) {
    const all = new Map(this.past);
    for (const [id, turn] of house.turns) if (turn.timings) all.set(id, turn);
    return [...all.values()].sort((a, b) => a.timestamp - b.timestamp);
  }
}

// An utterance of the history, as far as its times are concerned.
function turnOf(utterance) {
  return {
    id: utterance.utterance_id, device: utterance.device_id, timestamp: utterance.spoken_at, text: utterance.text,
    error: utterance.success ? null : utterance.error, audio: utterance.audio, timings: utterance.timings,
    publishMs: utterance.publish_ms, answerMs: utterance.reply?.text_to_reply_ms ?? null,
    deliveredMs: utterance.speech_to_reply_ms, version: 0,
  };
}

function pointsOf(turns, of) {
  return turns.map((turn) => ({ at: turn.timestamp, value: of(turn) })).filter(({ value }) => value != null);
}

function byDevice(turns) {
  const devices = new Map();
  for (const turn of turns) devices.set(turn.device, [...(devices.get(turn.device) ?? []), turn]);
  return [...devices.entries()].sort(([a], [b]) => a.localeCompare(b));
}

function deviceRow([device, turns]) {
  const cells = [textMs, replyMs].flatMap((of) => {
    const values = turns.map(of).filter((value) => value != null);
    return [50, 95].map((percent) => (values.length ? duration(percentile(values, percent)) : "–"));
  });
  const row = rowOf("td", [turns.length, ...cells]);
  row.prepend(element("th", "", device));
  return row;
}

function stripRow({ turn: { id } }) {
  const who = span("strip-who");
  const said = span("strip-said");
  const total = span("strip-total");
  const bar = span("strip-bar");
  const link = element("a", "strip-row", who, said, bar, total);
  link.href = `#latency/${id}`;
  let drawnAs = "";
  return {
    node: element("li", "", link),
    update: ({ turn, fullMs, current }) => {
      if (current) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
      const version = `${turn.version} ${fullMs}`;
      if (version === drawnAs) return;
      drawnAs = version;
      const stages = stagesOf(turn);
      setText(who, `${turn.device} ${moment(turn.timestamp)}`);
      setText(said, turn.text || turn.error || "nothing was said");
      setText(total, duration(totalMs(stages)));
      setAttribute(said, "title", said.textContent);
      bar.replaceChildren(strip(stages, fullMs, 300, 10));
    },
  };
}
