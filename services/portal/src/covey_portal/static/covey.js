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

const main = document.getElementById("main");
const signOn = () => { location.href = "/sign-on?note=ended"; };
const noLongerYours = () => {
  main.replaceChildren(document.getElementById("no-longer-yours").content.cloneNode(true));
  main.querySelector("h1").focus();
};
const listen = (address, heard) => {
  const stream = new EventSource(address); // after a cut it asks again from the last event that it heard
  for (const [name, act] of Object.entries({ "signed-off": signOn, ...heard })) stream.addEventListener(name, () => act(stream));
  window.addEventListener("pagehide", () => stream.close());
};
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); }); // kept by the browser: it may show too much

const live = document.querySelector("[data-live]");
if (live) listen(live.dataset.live, { ended: (stream) => { stream.close(); noLongerYours(); } });

// --- what changes while one looks: the page is asked for again, and what is different takes its place; the focus keeps its own ---

const holds = (node) => node.contains(document.activeElement);
const places = (node) => [node, ...node.querySelectorAll("a, button, summary, input, select, textarea")];

/** Let a part be as its fresh copy says; the node that stands there then. */
const follow = (old, fresh) => {
  if (old.isEqualNode(fresh)) return old;
  const [mine, theirs] = [[...old.children], [...fresh.children]];
  const inParts = ![...fresh.childNodes].some((each) => each.nodeType === Node.TEXT_NODE && each.data.trim());
  if (inParts && theirs.length && theirs.every((each) => each.id)) followRows(old, mine, theirs);
  else if (inParts && theirs.length && mine.length === theirs.length && mine.every((each, n) => each.tagName === theirs[n].tagName)) mine.forEach((each, n) => follow(each, theirs[n]));
  else return replace(old, fresh);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  return old;
};
const replace = (old, fresh) => {
  const place = holds(old) ? places(old).indexOf(document.activeElement) : null;
  old.replaceWith(fresh);
  if (place !== null) (places(fresh)[place] ?? main).focus({ preventScroll: true });
  return fresh;
};
/** Rows are known by their IDs. The one in which somebody is stays where it is, and the others go round it. */
const followRows = (parent, mine, theirs) => {
  const left = new Map(mine.map((each) => [each.id, each]));
  const held = mine.find(holds);
  let before = theirs.some((each) => each.id === held?.id);
  for (const each of theirs) {
    const row = left.has(each.id) ? follow(left.get(each.id), each) : each;
    left.delete(each.id);
    if (row === held) before = false;
    else if (before) held.before(row);
    else parent.append(row);
  }
  for (const row of left.values()) if (row !== held) row.remove();
};

const changing = document.querySelector("[data-changes]");
if (changing) {
  const news = document.getElementById("news");
  const said = (page) => new Map([...page.querySelectorAll("[data-says]")].map((each) => [each.id, each.dataset.says]));
  const show = (page) => {
    const before = said(document), now = said(page);
    document.querySelectorAll("[data-changing]").forEach((each) => {
      const fresh = page.getElementById(each.id);
      if (fresh) follow(each, fresh);
    });
    const changed = [...now].filter(([id, words]) => before.get(id) !== words);
    for (const [id] of changed) {
      const row = document.getElementById(id);
      row.classList.add("news");
      setTimeout(() => row.classList.remove("news"), 3000);
    }
    const words = [...new Set(changed.map(([, words]) => words))];
    if (words.length || before.size !== now.size) news.textContent = words.length && words.length <= 3 ? words.join(". ") : news.dataset.many;
  };
  let asking = false, askAgain = false;
  const look = async () => {
    askAgain = asking;
    if (asking) return;
    asking = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html", "Covey-Background": "1" } });
      if (answer.redirected) signOn();
      else if (answer.status === 404) noLongerYours();
      else if (answer.ok) show(new DOMParser().parseFromString(await answer.text(), "text/html"));
      else throw new Error("not now");
    } catch {
      setTimeout(look, 3000); // the event is heard, and would not come again
    }
    asking = false;
    if (askAgain) look();
  };
  listen(changing.dataset.changes, { changed: look, ended: () => location.reload() });
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});
