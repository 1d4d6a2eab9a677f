// Lines over time on one scale, with their newest values above and all of them in a table behind.

import { drawn, element, rowOf, setText, span, tableOf } from "./dom.js";
import { moment } from "./format.js";
import { ticks } from "./statistics.js";

const HEIGHT = 168;
const EDGE = { top: 8, right: 12, bottom: 22, left: 64 };
const MOST_ROWS = 24;

export class Curves {
  // `lines`: `[name of a figure, label, colour's class]`; `tell` makes words of a value; `least`: what the scale has at least.
  constructor(title, lines, tell, least) {
    Object.assign(this, { title, lines, tell, least, course: null });
    this.values = element("p", "legend");
    this.canvas = element("div", "curves");
    this.canvas.setAttribute("role", "img");
    const { table, rows } = tableOf(["Until", ...lines.map(([, label]) => label)]);
    this.rows = rows;
    const behind = element("details", "", element("summary", "", "As a table"), element("div", "table", table));
    this.node = element("section", "panel", element("div", "panel-head", element("h3", "", title)), this.values, this.canvas, behind);
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  show(course, now) {
    this.course = course;
    const newest = (name) => now[name] ?? course.figures[name]?.findLast((value) => value !== null) ?? null;
    const told = this.lines.filter(([name]) => newest(name) !== null).map(([name, label, colour]) => [`${label} ${this.tell(newest(name))}`, colour]);
    this.values.replaceChildren(...told.map(([words, colour]) => span(`key ${colour}`, words)));
    this.canvas.setAttribute("aria-label", `${this.title} over time. Now: ${told.map(([words]) => words).join(", ") || "nothing is known"}`);
    const every = Math.max(1, Math.ceil(course.ends.length / MOST_ROWS));
    const numbers = course.ends.map((_, index) => index).filter((index) => (course.ends.length - 1 - index) % every === 0).reverse();
    this.rows.replaceChildren(...numbers.map((index) => rowOf("td", [moment(course.ends[index]), ...this.lines.map(([name]) => this.word(name, index))])));
    this.draw();
  }

  word(name, index) {
    const value = this.course.figures[name]?.[index] ?? null;
    return value === null ? "–" : this.tell(value);
  }

  draw() {
    const width = this.canvas.clientWidth;
    if (!width || !this.course) return;
    const { ends, figures } = this.course;
    if (ends.length < 2) return setText(this.canvas, "Two looks are needed for a line; come back in a moment.");
    const all = this.lines.flatMap(([name]) => figures[name] ?? []).filter((value) => value !== null);
    const steps = ticks(Math.max(this.least, ...all), 3);
    const bottom = HEIGHT - EDGE.bottom;
    const x = (at) => EDGE.left + ((at - ends[0]) / (ends.at(-1) - ends[0])) * (width - EDGE.left - EDGE.right);
    const y = (value) => bottom - (value / steps.at(-1)) * (bottom - EDGE.top);
    const svg = drawn("svg", { width, height: HEIGHT, "aria-hidden": "true" });
    for (const step of steps) {
      svg.append(drawn("line", { class: "grid", x1: EDGE.left, x2: width - EDGE.right, y1: y(step), y2: y(step) }));
      svg.append(drawn("text", { class: "tick", x: EDGE.left - 8, y: y(step) + 4, "text-anchor": "end" }, this.tell(step)));
    }
    for (const [at, anchor] of [[ends[0], "start"], [ends.at(-1), "end"]]) svg.append(drawn("text", { class: "tick", x: x(at), y: HEIGHT - 4, "text-anchor": anchor }, moment(at)));
    for (const [name, , colour] of this.lines) {
      for (const points of unbroken(ends, figures[name] ?? [])) svg.append(drawn("polyline", { class: `curve ${colour}`, points: points.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`).join(" ") }));
    }
    this.canvas.replaceChildren(svg);
    return undefined;
  }
}

// A step in which nothing was known is a gap.
function unbroken(ends, values) {
  const pieces = [[]];
  values.forEach((value, index) => (value === null ? pieces.push([]) : pieces.at(-1).push([ends[index], value])));
  return pieces.filter((piece) => piece.length > 1);
}
