// The keyboard: single keys for the views and the devices, and the dialog that tells them.

import { byId, element } from "./dom.js";

const STORED = "earshot.keys";

export class Keys {
  constructor() {
    this.keys = new Map();
    this.help = byId("help");
    this.switch = byId("keys-on");
    this.switch.checked = localStorage.getItem(STORED) !== "off";
    this.switch.addEventListener("change", () => localStorage.setItem(STORED, this.switch.checked ? "on" : "off"));
    byId("help-open").addEventListener("click", () => this.help.showModal());
    document.addEventListener("keydown", (event) => this.press(event));
    this.on("?", "These keys", () => this.help.showModal());
  }

  on(key, what, act) {
    this.keys.set(key, act);
    this.tell(key, what);
  }

  tell(key, what) {
    byId("keys").append(element("div", "", element("dt", "", element("kbd", "", key)), element("dd", "", what)));
  }

  press(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector("dialog[open]") || isTyping(event.target)) return;
    const act = this.keys.get(event.key);
    if (!act || (event.key.length === 1 && !this.switch.checked)) return;
    event.preventDefault();
    act();
  }
}

export function isTyping(target) {
  return target.matches?.("input:not([type=checkbox], [type=radio]), textarea, select") ?? false;
}

// Up and down move between the buttons of a list.
export function arrows(list, selector) {
  list.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const items = [...list.querySelectorAll(selector)];
    const next = items[items.indexOf(document.activeElement) + step];
    if (!next) return;
    event.preventDefault();
    next.focus();
  });
}
