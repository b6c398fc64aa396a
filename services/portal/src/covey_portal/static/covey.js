// What pages do better with scripts. Without them each of these is a page of its own, or a hint in words.
"use strict";
document.documentElement.classList.add("scripted");

// --- what was said of what one did is not said again to whoever comes back, or is given the address ---

const address = new URL(location);
if (address.searchParams.has("said")) {
  address.searchParams.delete("said");
  history.replaceState(history.state, "", address);
}

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
    for (const name of ["id", "for", "aria-describedby"]) { // the page may have a field of the same name
      question.querySelectorAll(`[${name}]`).forEach((each) => each.setAttribute(name, each.getAttribute(name).replace(/\S+/g, "dialog-$&")));
    }
    question.querySelector("h1").id = "dialog-title";
    dialog.replaceChildren(document.adoptNode(question));
    opener = link;
    dialog.showModal();
    dialog.querySelector("[data-first]")?.focus(); // on a page of its own the focus stays where reading begins
  } catch {
    location.href = link.href; // whatever it is, the page itself says it
  }
});
document.addEventListener("click", (event) => {
  const open = event.target.closest("dialog [data-close]")?.closest("dialog");
  if (open) { event.preventDefault(); open.close(); }
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
    const options = await send(form.dataset.passkey + "/options", { name: typed.name ?? "", password: typed.password ?? "" });
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
  const problem = warning.querySelector("[data-problem]");
  let timer;
  const leave = () => { location.href = "/sign-on?note=ended&next=" + encodeURIComponent(location.pathname + location.search); };
  const watch = ({ idle, at_most }) => {
    clearTimeout(timer);
    warning.close();
    problem.textContent = "";
    const left_ms = Math.min(idle, at_most) * 1000;
    timer = setTimeout(() => {
      warning.querySelector("[data-idle]").hidden = at_most <= idle;
      warning.querySelector("[data-last]").hidden = at_most > idle;
      warning.showModal();
      timer = setTimeout(leave, Math.min(left_ms, before_ms));
    }, Math.max(0, left_ms - before_ms));
  };
  const heard = (left) => { watch(left); others.postMessage(left); };
  others.addEventListener("message", (event) => watch(event.data));
  heard({ idle: Number(warning.dataset.idleS), at_most: Number(warning.dataset.atMostS) });
  warning.querySelector("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    problem.textContent = "";
    const answer = await fetch("/session/extension", { method: "POST", headers: { Accept: "application/json" } }).catch(() => null);
    if (answer?.redirected || answer?.status === 401) { leave(); return; }
    const left = answer?.ok && await answer.json().catch(() => null);
    if (left) heard(left);
    else problem.textContent = problem.dataset.failed; // the session may go on, and so may what is on the page
  });
}

// --- what one may no longer see is taken off the screen at once ---

const main = document.getElementById("main");
const signOn = () => { location.href = "/sign-on?note=ended"; };
const instead = (...content) => {
  dialog.close();
  dialog.replaceChildren();
  document.getElementById("news")?.replaceChildren();
  main.replaceChildren(...content);
  const title = main.querySelector("h1");
  document.title = title.textContent;
  title.tabIndex = -1;
  title.focus();
};

/** Listen to a stream; it is closed by what this gives back. After a cut it goes on from the last event that was heard. */
const listen = (address, heard) => {
  let stream, timer, last = "";
  const open = () => {
    const from = new URL(address, location.href);
    if (last) from.searchParams.set("after", last);
    stream = new EventSource(from);
    for (const [name, act] of Object.entries({ "signed-off": signOn, ...heard })) stream.addEventListener(name, (event) => { last = event.lastEventId; act(event); });
    stream.addEventListener("error", () => { // a browser asks again by itself when a line is cut, not when a proxy answers for us
      if (stream.readyState === EventSource.CLOSED) timer = setTimeout(open, 3000);
    });
  };
  const close = () => { clearTimeout(timer); stream.close(); };
  open();
  window.addEventListener("pagehide", close);
  return close;
};
window.addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); }); // kept by the browser: it may show too much

const live = document.querySelector("[data-live]");
if (live) {
  const close = listen(live.dataset.live, { ended: () => { close(); instead(document.getElementById("no-longer-yours").content.cloneNode(true)); } });
}

// --- what changes while one looks: the page is asked for again, and what is different takes its place; the focus keeps its own ---

const holds = (node) => node.contains(document.activeElement);
const hasWords = (node) => [...node.childNodes].some((each) => each.nodeType === Node.TEXT_NODE && each.data.trim());

/** Let a part be as its fresh copy says; the node that stands there then. */
const follow = (old, fresh) => {
  if (old.isEqualNode(fresh)) return old;
  const [mine, theirs] = [[...old.children], [...fresh.children]];
  const inParts = theirs.length && !hasWords(old) && !hasWords(fresh);
  if (inParts && theirs.every((each) => each.id)) followRows(old, mine, theirs);
  else if (inParts && mine.length === theirs.length && mine.every((each, n) => each.tagName === theirs[n].tagName)) mine.forEach((each, n) => follow(each, theirs[n]));
  else return replace(old, fresh);
  for (const { name, value } of fresh.attributes) old.setAttribute(name, value);
  return old;
};
/** Whoever is at a link that is still there stays at it. */
const replace = (old, fresh) => {
  const here = holds(old) ? document.activeElement : null;
  old.replaceWith(fresh);
  if (here) {
    const there = here === old ? fresh : [...fresh.querySelectorAll("*")].find((each) => each.isEqualNode(here));
    (there ?? fresh.closest(".table") ?? main).focus({ preventScroll: true });
  }
  return fresh;
};
/** Rows are known by their IDs, and moved only if they are out of place; the one in which somebody is, never. */
const followRows = (parent, mine, theirs) => {
  const wanted = new Set(theirs.map((each) => each.id));
  for (const row of mine.filter((each) => !wanted.has(each.id))) {
    const left = holds(row);
    row.remove();
    if (left) (parent.closest(".table") ?? main).focus({ preventScroll: true });
  }
  const kept = new Map(mine.map((each) => [each.id, each]));
  let place = parent.firstElementChild;
  for (const each of theirs) {
    const row = kept.has(each.id) ? follow(kept.get(each.id), each) : each;
    if (row === place || holds(row)) place = row.nextElementSibling;
    else parent.insertBefore(row, place);
  }
};

const changing = document.querySelector("[data-changes]");
if (changing) {
  const news = document.getElementById("news");
  const said = (page) => new Map([...page.querySelectorAll("[data-says]")].map((each) => [each.id, { ...each.dataset }]));
  /** Put the fresh page's parts in place, and say what has become of those transactions. */
  const show = (page, changed) => {
    const before = said(document), now = said(page);
    document.title = page.title;
    document.querySelectorAll("[data-changing]").forEach((each) => {
      const fresh = page.getElementById(each.id);
      if (fresh && !("unknown" in fresh.dataset)) follow(each, fresh);
    });
    const isNews = ({ of }) => changed.has(of) || changed.has("all");
    const rows = [...now].filter(([id, row]) => isNews(row) && before.get(id)?.says !== row.says);
    const words = [...new Set(rows.map(([, row]) => row.says))];
    const some = [...before].some(([id, row]) => isNews(row) && !now.has(id));
    if (words.length && words.length <= 3) news.textContent = words.join(". ");
    else if (words.length || some) news.textContent = news.dataset.many;
    for (const [id] of rows) {
      const { classList } = document.getElementById(id);
      classList.add("news");
      setTimeout(() => classList.remove("news"), 3000);
    }
  };
  let heard = new Set(), asking = false;
  /** Ask for the page once more, at most once a second; later again where it cannot be had now: its event would not come again. */
  const look = async () => {
    if (asking || !heard.size) return;
    asking = true;
    const changed = heard;
    heard = new Set();
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "Covey-Background": "1" } }).catch(() => null);
    const page = answer && new DOMParser().parseFromString(await answer.text().catch(() => ""), "text/html");
    const good = answer?.ok && page.querySelector("[data-changes]");
    if (answer?.redirected) { close(); signOn(); return; }
    if ([403, 404].includes(answer?.status) && page.getElementById("main")) { close(); instead(...page.getElementById("main").children); return; }
    if (answer?.ok && !page.querySelector("[data-changes], [data-away]")) { close(); location.reload(); return; } // nothing is left to follow
    const whole = good && !page.querySelector("[data-unknown], [data-away]"); // a part that could not be had: its event would not come again, either
    setTimeout(() => { asking = false; look(); }, whole ? 1000 : 3000);
    if (good) show(page, changed);
    if (!whole) changed.forEach((each) => heard.add(each));
  };
  const close = listen(changing.dataset.changes, {
    changed: (event) => { (JSON.parse(event.data).transactions ?? ["all"]).forEach((each) => heard.add(each)); look(); },
    ended: () => location.reload(),
  });
}

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-print]")) window.print();
});
