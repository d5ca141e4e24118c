// The traffic: new associations come by themselves, contexts open in place, destinations are asked.

import { localTimes, request, say } from "./base.js";

const REFRESH_MILLISECONDS = 5000;

async function pageAt(place) {
  const text = await (await request(place)).text();
  return new DOMParser().parseFromString(text, "text/html");
}

// Associations never change once they are listed: rows that are there stay, with what is open in them.
function refreshAssociations(fresh) {
  const table = document.getElementById("associations");
  const next = fresh.getElementById("associations");
  if (!table || !next || !("live" in table.dataset)) return;
  if (table.tagName !== "TABLE" || next.tagName !== "TABLE") {
    if (table.tagName !== next.tagName) location.reload();
    return;
  }
  const known = new Map([...table.tBodies].map((body) => [body.dataset.id, body]));
  const wanted = [...next.tBodies].map((body) => known.get(body.dataset.id) ?? body);
  if (wanted.length === known.size && wanted.every((body) => body.isConnected && body.parentNode === table)) return;
  const focused = document.activeElement;
  for (const body of known.values()) if (!wanted.includes(body)) body.remove();
  wanted.forEach((body, index) => {
    if (table.tBodies[index] !== body) table.insertBefore(body, table.tBodies[index] ?? null);
  });
  localTimes(table);
  if (focused?.isConnected) focused.focus({ preventScroll: true });
}

function refreshParts(fresh) {
  for (const part of document.querySelectorAll("[data-part]")) {
    const next = [...fresh.querySelectorAll("[data-part]")].find((one) => one.dataset.part === part.dataset.part);
    if (next && next.innerHTML !== part.dataset.shown) {
      part.dataset.shown = next.innerHTML;
      part.replaceChildren(...next.cloneNode(true).childNodes);
      localTimes(part);
    }
  }
}

let refreshing = false;
async function refresh() {
  if (document.hidden || refreshing) return;
  refreshing = true;
  try {
    const fresh = await pageAt(location.href);
    refreshParts(fresh);
    refreshAssociations(fresh);
  } catch {
    // The node may be starting again; the next turn says.
  } finally {
    refreshing = false;
  }
}
setInterval(refresh, REFRESH_MILLISECONDS);
document.addEventListener("visibilitychange", refresh);

async function openContexts(link) {
  const body = link.closest("tbody");
  const row = body.querySelector("tr.contexts");
  if (row) {
    row.hidden = !row.hidden;
    link.setAttribute("aria-expanded", String(!row.hidden));
    return;
  }
  const contexts = (await pageAt(link.href)).getElementById("contexts");
  contexts.removeAttribute("id");
  const cell = document.createElement("td");
  cell.colSpan = 10;
  cell.append(contexts);
  const added = document.createElement("tr");
  added.className = "contexts";
  added.append(cell);
  body.append(added);
  link.setAttribute("aria-expanded", "true");
}

document.addEventListener("click", async (event) => {
  const link = event.target.closest("a.more");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  try {
    await openContexts(link);
  } catch (error) {
    say(error.message);
  }
});

function element(name, text, className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  made.className = className;
  return made;
}

function showEcho(answer) {
  if (answer.answered) {
    const time = answer.milliseconds === null ? "can be written to" : `answers in ${answer.milliseconds.toFixed(0)} ms`;
    return [element("p", `✓ ${time}`, "good")];
  }
  return [element("p", `✗ ${answer.reason}`, "failed-word"), ...(answer.remedy ? [element("p", answer.remedy)] : [])];
}

function matrixRow(of, syntaxes, results) {
  const row = document.createElement("tr");
  const head = element("th", of.name);
  head.scope = "row";
  head.title = of.uid;
  row.append(head);
  for (const syntax of syntaxes) {
    const pair = results.get(`${of.uid} ${syntax.uid}`);
    const cell = element("td", pair ? (pair.accepted ? "✓" : "✗") : "", pair?.accepted ? "yes" : "no");
    if (pair) {
      cell.title = pair.result;
      cell.append(element("span", pair.accepted ? " accepted" : ` ${pair.result}`, "gone"));
    }
    row.append(cell);
  }
  return row;
}

function showProbe(answer) {
  if (!answer.answered) return showEcho(answer);
  const results = new Map(answer.pairs.map((pair) => [`${pair.sop_class} ${pair.transfer_syntax}`, pair]));
  const table = document.createElement("table");
  table.className = "matrix";
  const head = table.createTHead().insertRow();
  head.append(element("th", "accepts"));
  for (const syntax of answer.transfer_syntaxes) {
    const cell = element("th", syntax.name);
    cell.scope = "col";
    cell.title = syntax.uid;
    head.append(cell);
  }
  const body = table.createTBody();
  for (const one of [...answer.sop_classes, ...answer.services]) body.append(matrixRow(one, answer.transfer_syntaxes, results));
  const scroll = document.createElement("div");
  scroll.className = "scroll";
  scroll.tabIndex = 0;
  scroll.setAttribute("role", "region");
  scroll.setAttribute("aria-label", `What ${answer.destination} accepts`);
  scroll.append(table);
  const list = document.createElement("ul");
  const marks = { good: "✓", failed: "✗", note: "–" };
  const classes = { good: "good", failed: "failed-word", note: "dim" };
  for (const one of answer.judged) list.append(element("li", `${marks[one.verdict]} ${one.said}`, classes[one.verdict]));
  const asked = element("p", `asked in ${answer.milliseconds.toFixed(0)} ms; nothing was sent`, "dim");
  return [list, scroll, asked];
}

for (const button of document.querySelectorAll("button[data-act]")) {
  button.addEventListener("click", async () => {
    const card = button.closest(".destination");
    const answer = card.querySelector(".answer");
    const act = button.dataset.act;
    button.disabled = true;
    answer.replaceChildren(element("p", "asking …", "dim"));
    try {
      const path = `/api/v1/destinations/${encodeURIComponent(card.dataset.name)}/${act}`;
      const said = await (await request(path, { method: "POST", headers: { Accept: "application/json" } })).json();
      answer.replaceChildren(...(act === "echo" ? showEcho(said) : showProbe(said)));
    } catch (error) {
      answer.replaceChildren(element("p", `✗ ${error.message}`, "failed-word"));
    } finally {
      button.disabled = false;
      button.focus({ preventScroll: true });
    }
  });
}
