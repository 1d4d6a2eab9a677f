// A part of the house as a row: what it is called, how it is and since when, what it is, what is wrong, and what to do.

import { element, setText, span } from "./dom.js";
import { moment } from "./format.js";

export function partRow(className, heading, ...more) {
  const name = element(heading, "");
  const state = span("state");
  const since = element("time", "since");
  const [detail, reason, remedy] = ["detail", "reason", "remedy"].map((kind) => element("p", kind));
  return {
    node: element("li", className, element("div", "component-head", name, state, since), detail, reason, remedy, ...more),
    update: (part) => {
      setText(name, part.name);
      setText(state, part.state);
      setText(since, part.since ? `since ${moment(part.since)}` : "");
      setText(detail, part.facts.filter(Boolean).join(" · "));
      setText(reason, part.reason ?? "");
      setText(remedy, part.remedy ?? "");
    },
  };
}
