// Views by hash: `#latency` or `#latency/u_b0Pd`; what stands behind the slash is the view's own.

import { byId } from "./dom.js";

export const VIEWS = ["live", "history", "latency", "health", "machine"];

export class Router {
  // The view is shown at once; `onView(name, rest)` is told by `follow`, and whenever it changes.
  constructor(onView) {
    this.onView = onView;
    this.view = "";
    this.show();
    addEventListener("hashchange", () => this.follow(true));
  }

  follow(moved = false) {
    const before = this.view;
    this.show();
    // Whoever went there with the keyboard or a screen reader begins at its heading.
    if (moved && this.view !== before) byId(`${this.view}-title`).focus({ preventScroll: true });
    this.onView(this.view, this.rest);
  }

  show() {
    const [name, ...rest] = location.hash.slice(1).split("/");
    const view = VIEWS.includes(name) && byId(`view-${name}`) ? name : "live";
    this.view = view;
    this.rest = rest.join("/");
    for (const other of document.querySelectorAll(".view")) other.hidden = other.id !== `view-${view}`;
    for (const tab of byId("tabs").querySelectorAll("a")) {
      if (tab.hash === `#${view}`) tab.setAttribute("aria-current", "page");
      else tab.removeAttribute("aria-current");
    }
    document.body.dataset.view = view;
    document.title = view === "live" ? "Earshot" : `${byId(`${view}-title`).textContent} – Earshot`;
  }

  go(view) {
    location.hash = `#${view}`;
  }
}
