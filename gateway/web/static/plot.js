// Percentiles over time: a line for half of the utterances, one for 95 of 100, a dot for each.
// The pointer and the arrow keys read it; the same numbers stand in a table behind it.

import { drawn, element, rowOf, setText, tableOf } from "./dom.js";
import { count, duration, moment } from "./format.js";
import { binned, ticks } from "./statistics.js";

const HEIGHT = 236;
const EDGE = { top: 14, right: 64, bottom: 40, left: 78 };
const MOST_BINS = 36;
const BIN_WIDTH = 20;
const NARROW = 480;
const COLUMNS = ["From", "Utterances", "Half within", "95 % within"];

export class Plot {
  constructor(parent) {
    this.canvas = element("div", "plot");
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "slider");
    this.canvas.setAttribute("aria-orientation", "horizontal");
    this.tip = element("p", "tip");
    const { table, rows } = tableOf(COLUMNS);
    this.rows = rows;
    parent.append(this.canvas, this.tip, element("details", "", element("summary", "", "As a table"), element("div", "table", table)));
    this.points = [];
    this.bins = [];
    this.at = null;
    this.canvas.addEventListener("pointermove", (event) => this.point(event));
    this.canvas.addEventListener("pointerleave", () => this.read(null));
    this.canvas.addEventListener("keydown", (event) => this.key(event));
    this.canvas.addEventListener("focus", () => this.read(this.at ?? this.bins.length - 1));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  // `points`: `{at, value}` in Unix seconds and milliseconds; `what` names the value.
  show(points, what) {
    this.points = points;
    this.what = what;
    this.bins = binned(points, this.mostBins());
    this.canvas.setAttribute("aria-label", `${what} over time, ${count(points.length, "utterance")}`);
    this.canvas.setAttribute("aria-valuemin", "0");
    this.canvas.setAttribute("aria-valuemax", String(Math.max(0, this.bins.length - 1)));
    this.rows.replaceChildren(...this.bins.map(binRow));
    this.draw();
    this.read(this.at);
  }

  mostBins() {
    const width = this.canvas.clientWidth - EDGE.left - EDGE.right;
    return Math.min(MOST_BINS, Math.max(4, Math.floor(width / BIN_WIDTH)));
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (!width || this.bins.length === 0) return;
    const scale = this.scale(width);
    const line = (percent) => this.bins.map((bin) => `${scale.x(centre(bin)).toFixed(1)},${scale.y(bin[percent]).toFixed(1)}`);
    const svg = drawn("svg", { width, height: HEIGHT, "aria-hidden": "true" }, ...axes(scale, this.what));
    for (const { at, value } of this.points) svg.append(drawn("circle", { class: "each", r: 2, cx: scale.x(at).toFixed(1), cy: scale.y(value).toFixed(1) }));
    svg.append(drawn("polygon", { class: "between", points: [...line("p50"), ...line("p95").reverse()].join(" ") }));
    for (const percent of ["p95", "p50"]) {
      const last = this.bins.at(-1);
      svg.append(drawn("polyline", { class: percent, points: line(percent).join(" ") }));
      svg.append(drawn("circle", { class: `end ${percent}`, r: 3, cx: scale.x(centre(last)), cy: scale.y(last[percent]) }));
    }
    svg.append(...endLabels(scale, this.bins.at(-1)));
    this.cursor = drawn("line", { class: "cursor", y1: EDGE.top, y2: HEIGHT - EDGE.bottom, visibility: "hidden" });
    svg.append(this.cursor);
    this.drawnScale = scale;
    this.canvas.replaceChildren(svg);
  }

  scale(width) {
    const [first, last] = [centre(this.bins[0]), centre(this.bins.at(-1))];
    const steps = ticks(Math.max(...this.points.map(({ value }) => value)), 4);
    const right = width - EDGE.right;
    const bottom = HEIGHT - EDGE.bottom;
    return {
      steps, right, bottom, first, last,
      x: (at) => EDGE.left + (last > first ? Math.min(1, Math.max(0, (at - first) / (last - first))) : 0.5) * (right - EDGE.left),
      y: (value) => bottom - (value / steps.at(-1)) * (bottom - EDGE.top),
    };
  }

  point(event) {
    if (!this.drawnScale) return;
    const x = event.clientX - this.canvas.getBoundingClientRect().left;
    const distances = this.bins.map((bin) => Math.abs(this.drawnScale.x(centre(bin)) - x));
    this.read(distances.indexOf(Math.min(...distances)));
  }

  key(event) {
    const last = this.bins.length - 1;
    const at = this.at ?? last;
    const next = { ArrowLeft: at - 1, ArrowDown: at - 1, ArrowRight: at + 1, ArrowUp: at + 1, Home: 0, End: last }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    this.read(Math.min(last, Math.max(0, next)));
  }

  read(at) {
    const bin = at === null ? undefined : this.bins[at];
    this.at = bin ? at : null;
    const words = bin ? `${moment(bin.from)}: half within ${duration(bin.p50)}, 95 % within ${duration(bin.p95)}, ${count(bin.n, "utterance")}` : "";
    setText(this.tip, words || "Point at it, or use the arrow keys.");
    this.canvas.setAttribute("aria-valuenow", String(this.at ?? Math.max(0, this.bins.length - 1)));
    this.canvas.setAttribute("aria-valuetext", words || "nothing chosen");
    if (!this.cursor) return;
    this.cursor.setAttribute("visibility", bin ? "visible" : "hidden");
    if (bin) for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.drawnScale.x(centre(bin)));
  }
}

function centre(bin) {
  return (bin.from + bin.to) / 2;
}

function axes({ steps, x, y, right, bottom, first, last }, what) {
  const parts = steps.flatMap((step) => [
    drawn("line", { class: "grid", x1: EDGE.left, x2: right, y1: y(step), y2: y(step) }),
    drawn("text", { class: "tick", x: EDGE.left - 8, y: y(step) + 4, "text-anchor": "end" }, duration(step)),
  ]);
  const ends = [[first, "start"], [last, "end"]];
  const times = last > first ? [...ends, ...(right > NARROW ? [[(first + last) / 2, "middle"]] : [])] : [[first, "middle"]];
  for (const [at, anchor] of times) parts.push(drawn("text", { class: "tick", x: x(at), y: bottom + 17, "text-anchor": anchor }, moment(at)));
  parts.push(drawn("text", { class: "axis", x: (EDGE.left + right) / 2, y: HEIGHT - 4, "text-anchor": "middle" }, "Time"));
  parts.push(drawn("text", { class: "axis", transform: `translate(11 ${(EDGE.top + bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, what));
  return parts;
}

// The names of the lines at their ends, never on top of each other.
function endLabels({ y, right }, last) {
  const low = y(last.p50) + 4;
  const high = Math.min(y(last.p95) + 4, low - 15);
  const label = (text, at, name) => drawn("text", { class: `name ${name}`, x: right + 9, y: at }, text);
  return [label("95 %", high, "p95"), label("half", low, "p50")];
}

function binRow(bin) {
  return rowOf("td", [moment(bin.from), bin.n, duration(bin.p50), duration(bin.p95)]);
}
