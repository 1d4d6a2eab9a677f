// A token for a cookie. The token stays in this form; the page itself never holds it.

import { reasonOf, send } from "./ask.js";
import { byId } from "./dom.js";

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("problem").textContent = "";
  try {
    await send("/api/v1/session", "POST", { token: byId("token").value.trim() });
    location.reload();
  } catch (error) {
    byId("problem").textContent = reasonOf(error);
  }
});
