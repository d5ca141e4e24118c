// The worklist in the browser: live rows, keys, and acts on chosen studies. Without it the list still works.
import { localTimes, request, say } from "./base.js";

const table = document.getElementById("worklist");
const body = table.tBodies[0];
const filters = document.getElementById("filters");
const acts = document.getElementById("acts");
const light = document.getElementById("live");
const first = table.dataset.first === "1";
const MOST_ROWS = 100;
// Every open page asks for what changed: not all in the same moment, and not twice a second.
const PAUSE = 1500 + Math.random() * 1000;

// ---- ages

const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];
function ages() {
  for (const age of body.querySelectorAll(".age")) {
    const seconds = Math.max(0, Math.floor((Date.now() - Date.parse(age.dataset.since)) / 1000));
    const [unit, length] = UNITS.find(([, least]) => seconds >= least) ?? ["s", 1];
    age.textContent = `${Math.floor(seconds / length)} ${unit}`;
  }
}
ages();
setInterval(ages, 10_000);

// ---- live rows

const waiting = new Set();
let refused = false, timer = 0, missed = 0;

function later() {
  if (!timer && !document.hidden) timer = setTimeout(refresh, PAUSE);
}

async function refresh() {
  const asked = [...waiting].slice(0, MOST_ROWS);
  try {
    if (refused) {
      refused = false;
      news("Something was refused.");
    }
    if (asked.length) {
      const query = new URLSearchParams(table.dataset.query);
      for (const uid of asked) query.append("uid", uid);
      const answer = await request(`/worklist/rows?${query}`);
      const part = new DOMParser().parseFromString(`<table><tbody>${await answer.text()}</tbody></table>`, "text/html");
      for (const uid of asked) waiting.delete(uid);
      place(asked, [...part.querySelectorAll("tr.study")]);
    }
  } catch (error) {
    say(error.message);
  }
  timer = 0;
  if (waiting.size) later();
}

function place(asked, rows) {
  const made = new Map(rows.map((row) => [row.dataset.uid, row]));
  for (const uid of asked) {
    const old = rowOf(uid), row = made.get(uid);
    if (!row) {
      if (old) old.remove();
    } else if (old) {
      replace(old, row);
    } else if (row.dataset.passes === "1") {
      if (first) insert(row);
      else missed += 1;
    }
  }
  if (missed) news(missed === 1 ? "One more study changed or came." : `${missed} more studies changed or came.`);
  document.getElementById("nothing").hidden = body.rows.length > 0;
}

function replace(old, row) {
  const box = row.querySelector(".pick input");
  if (box && old.querySelector(".pick input")?.checked) box.checked = true;
  row.classList.toggle("chosen", old.classList.contains("chosen"));
  row.classList.toggle("at", old.classList.contains("at"));
  row.classList.toggle("left", row.dataset.passes !== "1");
  const focused = old.contains(document.activeElement) ? document.activeElement.tagName : "";
  const moved = Number(row.dataset.at) > Number(old.dataset.at);
  if (first && moved) {
    old.remove();
    insert(row);
  } else {
    old.replaceWith(row);
    show(row);
  }
  if (focused) row.querySelector(focused)?.focus();
}

function insert(row) {
  const at = Number(row.dataset.at);
  const before = [...body.rows].find((one) => Number(one.dataset.at) <= at);
  // Older than all that is shown: it belongs to another page.
  if (!before && document.querySelector('a[rel="next"]')) return;
  body.insertBefore(row, before ?? null);
  show(row);
}

function show(row) {
  localTimes(row);
  row.classList.add("changed");
  row.addEventListener("animationend", () => row.classList.remove("changed"), { once: true });
  ages();
}

function news(words) {
  const place = document.getElementById("new");
  place.firstElementChild.textContent = `${words} Show them`;
  place.hidden = false;
}

function rowOf(uid) {
  return body.querySelector(`tr.study[data-uid="${CSS.escape(uid)}"]`);
}

function listen() {
  const events = new EventSource(`/events?since=${table.dataset.number}`);
  events.addEventListener("open", () => lit(true));
  events.addEventListener("error", () => {
    lit(false);
    // Refused altogether: asked again later, for the browser itself gives up.
    if (events.readyState === EventSource.CLOSED) setTimeout(listen, 15_000 + Math.random() * 15_000);
  });
  events.addEventListener("studies", (event) => {
    const told = JSON.parse(event.data);
    table.dataset.number = event.lastEventId;
    if (told.reload) return news("Many studies changed.");
    for (const uid of told.changed) waiting.add(uid);
    refused ||= told.refused;
    later();
  });
  addEventListener("pagehide", () => events.close(), { once: true });
}

function lit(on) {
  light.textContent = on ? "live" : "not live";
  light.classList.toggle("on", on);
}

listen();
document.addEventListener("visibilitychange", () => (waiting.size || refused) && later());
addEventListener("pageshow", (event) => event.persisted && location.reload());

// ---- rows and keys

body.addEventListener("click", (event) => {
  const row = event.target.closest("tr.study");
  if (!row || event.target.closest("a, input, label, button") || String(getSelection())) return;
  row.querySelector(".patient a").click();
});

function step(by) {
  const rows = [...body.querySelectorAll("tr")];
  const now = rows.findIndex((row) => row.classList.contains("at"));
  const next = rows[Math.min(rows.length - 1, Math.max(0, now < 0 ? 0 : now + by))];
  if (!next) return;
  rows[now]?.classList.remove("at");
  next.classList.add("at");
  const link = next.querySelector(".patient a");
  if (link) link.focus({ preventScroll: true });
  else document.activeElement?.blur();
  next.scrollIntoView({ block: "nearest" });
}

const help = document.getElementById("help");
const KEYS = {
  "/": () => { const search = filters.elements.search; search.focus(); search.select(); },
  j: () => step(1),
  k: () => step(-1),
  x: () => body.querySelector("tr.at .pick input")?.click(),
  n: () => document.querySelector('a[rel="next"]')?.click(),
  "?": () => help.showModal(),
  Enter: () => body.querySelector("tr.at .patient a")?.click(),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || help.open) return;
  const typing = event.target.closest("input:not([type=checkbox]), select, textarea");
  if (event.key === "Escape" && typing) return typing.blur();
  if (typing || !KEYS[event.key]) return;
  if (event.key === "Enter" && event.target.closest("a, button, summary, input")) return;
  event.preventDefault();
  KEYS[event.key]();
});
document.getElementById("keys").addEventListener("click", () => help.showModal());

filters.addEventListener("change", (event) => {
  if (event.target.matches("select, [type=checkbox]")) filters.requestSubmit();
});
// What is empty need not stand in the address.
filters.addEventListener("formdata", (event) => {
  for (const [name, value] of [...event.formData]) {
    if (value === "" || (name === "sort" && value === "received")) event.formData.delete(name);
  }
});

// ---- acts

const chosen = () => [...body.querySelectorAll(".pick input:checked")].map((box) => box.closest("tr").dataset.uid);

function count() {
  for (const row of body.querySelectorAll("tr.study")) {
    row.classList.toggle("chosen", row.querySelector(".pick input")?.checked ?? false);
  }
  const many = chosen().length;
  acts.hidden = !many;
  document.getElementById("chosen").textContent = `${many} chosen`;
}

async function act(name) {
  const uids = chosen();
  if (name === "none") return none();
  if (name === "cancel" && !confirm(`Cancel what has not ended of ${uids.length} studies?`)) return undefined;
  for (const button of acts.querySelectorAll("button")) button.disabled = true;
  const said = new Map();
  for (const uid of uids) {
    try {
      const options = { method: "POST" };
      if (name === "priority") {
        options.headers = { "Content-Type": "application/json" };
        options.body = JSON.stringify({ priority: document.getElementById("priority").value });
      }
      const done = await (await request(`/api/v1/studies/${encodeURIComponent(uid)}/${name}`, options)).json();
      said.set(done.message, (said.get(done.message) ?? 0) + 1);
    } catch (error) {
      said.set(error.message, (said.get(error.message) ?? 0) + 1);
    }
  }
  for (const [words, many] of said) say(many > 1 ? `${many} studies: ${words}` : words);
  for (const button of acts.querySelectorAll("button")) button.disabled = false;
  return none();
}

function none() {
  for (const box of table.querySelectorAll(".pick input")) box.checked = false;
  count();
}

if (acts) {
  table.addEventListener("change", (event) => {
    if (event.target.id === "all") {
      for (const box of body.querySelectorAll(".pick input")) box.checked = event.target.checked;
    }
    count();
  });
  acts.addEventListener("click", (event) => {
    const name = event.target.closest("[data-act]")?.dataset.act;
    if (name) act(name);
  });
}
