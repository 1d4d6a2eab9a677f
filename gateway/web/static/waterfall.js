// One utterance's stages below each other, each where it began and as long as it took. Zero is the end of
// speech; the speech stands before it, not to scale. The same numbers stand in a table.

import { drawn, element, setText, tableOf } from "./dom.js";
import { duration, moment } from "./format.js";
import { EXPLAINED, STAGES, stagesOf, totalMs } from "./stages.js";
import { ticks } from "./statistics.js";

const NAMES = Object.keys(STAGES);
const ROW = 30;
const BAR = 14;
const LABEL = 104;
const VALUE = 62;
const SPOKEN = 0.16;

export class Waterfall {
  constructor(parent) {
    this.said = element("p", "water-said");
    this.canvas = element("div", "water");
    this.tip = element("p", "tip");
    const { table, rows } = tableOf(["Stage", "From", "Took"]);
    this.rows = rows;
    parent.append(this.said, this.canvas, this.tip, element("details", "", element("summary", "", "As a table"), element("div", "table", table)));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  show(turn) {
    const key = turn ? `${turn.id} ${turn.version}` : "";
    if (key === this.key) return;
    this.key = key;
    this.stages = turn ? stagesOf(turn) : [];
    setText(this.said, turn ? `${turn.device}, ${moment(turn.timestamp)}: ${turn.text || turn.error || "nothing was said"}` : "");
    this.explain(null);
    this.rows.replaceChildren(...this.stages.map(stageRow));
    this.draw();
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (!width || !this.stages?.length) return;
    const zero = LABEL + SPOKEN * (width - LABEL - VALUE);
    const steps = ticks(totalMs(this.stages), width < 480 ? 3 : 5);
    const x = (ms) => zero + (Math.max(0, ms) / steps.at(-1)) * (width - VALUE - zero);
    const height = ROW * NAMES.length + 34;
    const svg = drawn("svg", { width, height });
    for (const step of steps) {
      svg.append(drawn("line", { class: "grid", x1: x(step), x2: x(step), y1: 0, y2: height - 32 }));
      svg.append(drawn("text", { class: "tick", x: x(step), y: height - 18, "text-anchor": "middle" }, duration(step)));
    }
    svg.append(drawn("text", { class: "axis", x: (zero + width - VALUE) / 2, y: height - 3, "text-anchor": "middle" }, "After the end of speech"));
    svg.append(...NAMES.map((name, number) => this.row(this.stages.find((stage) => stage.name === name) ?? { name }, number, x, width)));
    this.canvas.replaceChildren(svg);
  }

  row(stage, number, x, width) {
    const middle = ROW * number + ROW / 2;
    const node = drawn("g", { class: "stage", tabindex: "0", role: "img", "aria-label": sentenceOf(stage) });
    node.append(
      drawn("rect", { class: "whole", x: 0, y: middle - ROW / 2 + 1, width, height: ROW - 2, rx: 6 }),
      drawn("text", { class: "stage-name", x: 8, y: middle + 4.5 }, STAGES[stage.name]),
      drawn("text", { class: "stage-ms", x: width - 8, y: middle + 4.5, "text-anchor": "end" }, tookWords(stage)),
    );
    const isSpeech = stage.name === "capture";
    const from = isSpeech ? LABEL : x(stage.start);
    const bar = { x: from, y: middle - BAR / 2, width: Math.max(2, x(isSpeech ? 0 : stage.start + stage.ms) - from), height: BAR, rx: 3 };
    if (stage.ms !== undefined) node.append(drawn("rect", { class: `bar ${stage.name}`, ...bar }));
    for (const type of ["pointerenter", "focus"]) node.addEventListener(type, () => this.explain(stage));
    for (const type of ["pointerleave", "blur"]) node.addEventListener(type, () => this.explain(null));
    return node;
  }

  explain(stage) {
    const words = this.stages?.length ? `${duration(totalMs(this.stages))} from the end of speech.` : "";
    setText(this.tip, stage ? sentenceOf(stage) : words);
  }
}

function sentenceOf(stage) {
  return `${STAGES[stage.name]}: ${tookWords(stage)}. ${EXPLAINED[stage.name]}.`;
}

// A stage that did not happen, or not yet, took no time that anybody knows.
function tookWords({ ms }) {
  return ms === undefined ? "–" : duration(ms);
}

function stageRow(stage) {
  const cells = [duration(Math.abs(stage.start)), duration(stage.ms)];
  if (stage.start < 0) cells[0] = `−${cells[0]}`;
  return element("tr", "", element("th", "", STAGES[stage.name]), ...cells.map((cell) => element("td", "", cell)));
}

// The stages after the end of speech as one thin bar of `width`, `fullMs` being all of it.
export function strip(stages, fullMs, width, height) {
  const x = (ms) => (Math.max(0, ms) / Math.max(1, fullMs)) * width;
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true", class: "strip" });
  for (const { name, start, ms } of stages) {
    if (name === "capture" || ms <= 0) continue;
    svg.append(drawn("rect", { class: `bar ${name}`, x: x(start), y: 0, width: Math.max(0.6, x(start + ms) - x(start)), height }));
  }
  return svg;
}
