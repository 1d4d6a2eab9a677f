// An id, shown short and copied whole.

import { button } from "./dom.js";
import { shortId } from "./format.js";

const COPIED_MS = 1500;

export function copyable(what, id) {
  const node = button("copy", shortId(id), async () => {
    // A browser that keeps its clipboard to itself still lets people select the whole id.
    node.textContent = await navigator.clipboard.writeText(id).then(() => "copied", () => id);
    setTimeout(() => { node.textContent = shortId(id); }, COPIED_MS);
  }, `Copy ${what.toLowerCase()} id ${id}`);
  node.title = `${what} ${id}`;
  return node;
}
