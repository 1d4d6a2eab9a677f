// A token for a cookie. The token stays in this form; the page itself never holds it.

const form = document.getElementById("sign-in");
const problem = document.getElementById("problem");

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  problem.textContent = "";
  try {
    const answer = await fetch("/api/v1/session", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ token: form.elements.token.value.trim() }),
    });
    if (answer.ok) location.reload();
    else problem.textContent = (await answer.json()).detail;
  } catch {
    problem.textContent = "The gateway does not answer.";
  }
});
