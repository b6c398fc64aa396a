// What pages do better with scripts. Without them each of these is a page of its own, or a hint in words.
"use strict";
document.documentElement.classList.add("scripted");

// --- confirmations: the page that a link leads to, shown in a dialog ---

const dialog = document.createElement("dialog");
dialog.setAttribute("aria-labelledby", "dialog-title");
document.body.append(dialog);
let opener = null;

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a[data-dialog]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
  event.preventDefault();
  try {
    const answer = await fetch(link.href, { headers: { Accept: "text/html" } });
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const question = answer.ok && !answer.redirected && page.querySelector("[data-question]");
    if (!question) throw new Error("no question there");
    question.querySelector("h1").id = "dialog-title";
    dialog.replaceChildren(document.adoptNode(question));
    opener = link;
    dialog.showModal();
  } catch {
    location.href = link.href; // whatever it is, the page itself says it
  }
});
dialog.addEventListener("click", (event) => {
  if (event.target.closest("[data-close]")) { event.preventDefault(); dialog.close(); }
});
dialog.addEventListener("close", () => opener?.focus());

// --- passkeys: the browser asks its authenticator, and gives us what that says ---

const send = async (address, said) => {
  const answer = await fetch(address, { method: "POST", headers: { "Content-Type": "application/json", Accept: "application/json" }, body: JSON.stringify(said) });
  if (answer.redirected) { location.href = answer.url; return new Promise(() => {}); } // the session is over
  return answer.json();
};
document.querySelectorAll("form[data-passkey]").forEach((form) => form.addEventListener("submit", async (event) => {
  event.preventDefault();
  event.stopPropagation();
  const problem = form.querySelector("[data-problem]");
  problem.textContent = "";
  const typed = Object.fromEntries(new FormData(form));
  try {
    const options = await send(form.dataset.passkey + "/options", { password: typed.password ?? "" });
    if (options.problem) { problem.textContent = options.problem; return; }
    const credential = "create" in form.dataset
      ? await navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(options) })
      : await navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(options) });
    const done = await send(form.dataset.passkey, { name: typed.name ?? "", next: typed.next ?? "/", credential: credential.toJSON() });
    if (done.problem) { problem.textContent = done.problem; return; }
    location.href = done.go;
  } catch {
    problem.textContent = problem.dataset.failed; // whatever the browser says of it is not for people
  }
}));

// --- a form is sent once ---

document.addEventListener("submit", (event) => {
  if (event.target.dataset.sent) { event.preventDefault(); return; }
  event.target.dataset.sent = "yes";
  setTimeout(() => delete event.target.dataset.sent, 10_000); // whoever stopped it may send it again
});
window.addEventListener("pageshow", () => document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent));

// --- the session: two minutes before it is over, one is asked ---

const warning = document.getElementById("session-warning");
if (warning) {
  const before_ms = 120_000;
  const others = new BroadcastChannel("covey-session"); // whatever is done in one tab keeps the session of all
  let timer;
  const watch = ({ idle, at_most }) => {
    clearTimeout(timer);
    warning.close();
    const left_ms = Math.min(idle, at_most) * 1000;
    timer = setTimeout(() => {
      warning.querySelector("[data-idle]").hidden = at_most <= idle;
      warning.querySelector("[data-last]").hidden = at_most > idle;
      warning.showModal();
      const onward = encodeURIComponent(location.pathname + location.search);
      timer = setTimeout(() => { location.href = "/sign-on?note=ended&next=" + onward; }, Math.min(left_ms, before_ms));
    }, Math.max(0, left_ms - before_ms));
  };
  const heard = (left) => { watch(left); others.postMessage(left); };
  others.addEventListener("message", (event) => watch(event.data));
  heard({ idle: Number(warning.dataset.idleS), at_most: Number(warning.dataset.atMostS) });
  warning.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    delete event.target.dataset.sent;
    const answer = await fetch("/session/extension", { method: "POST", headers: { Accept: "application/json" } });
    if (!answer.ok || answer.redirected) { location.href = "/sign-on?note=ended"; return; }
    heard(await answer.json());
  });
}

// --- what one may no longer see is taken off the screen at once ---

const live = document.querySelector("[data-live]");
if (live) {
  const stream = new EventSource(live.dataset.live);
  stream.addEventListener("signed-off", () => { stream.close(); location.href = "/sign-on?note=ended"; });
  stream.addEventListener("ended", () => {
    stream.close();
    live.replaceChildren(document.getElementById("no-longer-yours").content.cloneNode(true));
    live.querySelector("h1").focus();
  });
  window.addEventListener("pagehide", () => stream.close());
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});
