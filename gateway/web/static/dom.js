// The few things this page does to the document. Text only ever enters it as text.

const SVG = "http://www.w3.org/2000/svg";

export function byId(id) {
  return document.getElementById(id);
}

export function element(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

export function span(className, ...children) {
  return element("span", className, ...children);
}

// A drawn element with its attributes.
export function drawn(tag, attributes = {}, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

// A table with these heads, and its rows' place.
export function tableOf(heads) {
  const rows = element("tbody", "");
  return { table: element("table", "", element("thead", "", rowOf("th", heads)), rows), rows };
}

export function rowOf(tag, cells) {
  return element("tr", "", ...cells.map((cell) => element(tag, "", String(cell))));
}

// `name`: what it is called where its label does not say enough.
export function button(className, label, onClick, name = "") {
  const node = element("button", className, label);
  node.type = "button";
  if (name) setAttribute(node, "aria-label", name);
  node.addEventListener("click", onClick);
  return node;
}

// Text that takes no room while it is empty.
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
  if (node.hidden !== (text === "")) node.hidden = text === "";
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

// A list of keyed rows: rows are made once, updated in place, and moved only when they must be.
// `create(item)` returns `{node, update(item)}`.
export class KeyedList {
  constructor(parent, keyOf, create) {
    this.parent = parent;
    this.keyOf = keyOf;
    this.create = create;
    this.rows = new Map();
  }

  show(items) {
    const focused = document.activeElement;
    const keys = new Set(items.map(this.keyOf));
    for (const [key, row] of this.rows) {
      if (keys.has(key)) continue;
      row.node.remove();
      this.rows.delete(key);
    }
    items.forEach((item, index) => this.place(item, index));
    if (focused !== document.activeElement && this.parent.contains(focused)) {
      focused.focus({ preventScroll: true });
    }
  }

  place(item, index) {
    const key = this.keyOf(item);
    const row = this.rows.get(key) ?? this.create(item);
    this.rows.set(key, row);
    row.update(item);
    const here = this.parent.children[index] ?? null;
    if (here !== row.node) this.parent.insertBefore(row.node, here);
  }
}
