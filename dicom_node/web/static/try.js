// Films given by hand, one after another; each reading is shown in place, as the server drew it.

import { localTimes, request, say } from "/static/base.js";

const drop = document.getElementById("drop");
const waiting = [];
let busy = false;
let done = 0;
let all = 0;

if (drop) {
  const files = document.getElementById("files");
  files.addEventListener("change", () => {
    add(files.files);
    files.value = "";
  });
  // The whole window takes a film, so that one that misses the frame does not replace the page.
  addEventListener("dragover", (event) => {
    event.preventDefault();
    drop.classList.add("over");
  });
  addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) drop.classList.remove("over");
  });
  addEventListener("drop", (event) => {
    event.preventDefault();
    drop.classList.remove("over");
    add(event.dataTransfer.files);
  });
}

document.addEventListener("click", (event) => {
  const view = event.target.closest("[data-view]");
  if (view) show(view);
  const removed = event.target.closest("[data-delete]");
  if (removed) remove(removed.dataset.delete);
});

function add(files) {
  if (!busy && waiting.length === 0) {
    done = all = 0;
    document.getElementById("queue").replaceChildren();
  }
  for (const file of files) {
    const line = document.createElement("li");
    line.textContent = `${file.name}: waiting`;
    document.getElementById("queue").append(line);
    waiting.push({ file, line });
    all += 1;
  }
  work();
}

async function work() {
  if (busy) return;
  busy = true;
  document.getElementById("progress").hidden = all === 0;
  while (waiting.length > 0) {
    const { file, line } = waiting.shift();
    tell(`Reading ${done + 1} of ${all}: ${file.name}`);
    line.textContent = `${file.name}: being read`;
    try {
      const { id, outcome } = await send(file);
      await present(id);
      line.textContent = `${file.name}: ${outcome}`;
    } catch (error) {
      line.textContent = `${file.name}: not read. ${error.message}`;
      line.className = "error";
    }
    done += 1;
  }
  tell(`${done} of ${all} done.`);
  busy = false;
}

function tell(words) {
  document.getElementById("progress-words").textContent = words;
  const bar = document.getElementById("progress-bar");
  bar.max = all;
  bar.value = done;
}

/** A film's reading, with the id under which it is kept. */
async function send(file) {
  if (file.size > Number(drop.dataset.limit) * 1e6) throw new Error(`Files of up to ${drop.dataset.limit} MB are taken.`);
  const form = new FormData();
  form.append("file", file);
  return (await request(drop.dataset.place, { method: "POST", body: form })).json();
}

async function present(id) {
  document.getElementById("readings").prepend(await fragment(`/analyses/${id}`));
  localTimes(document.getElementById("readings"));
  document.getElementById("history").replaceChildren(await fragment("/try"));
  localTimes(document.getElementById("history"));
}

async function fragment(path) {
  const answer = await request(path, { headers: { "X-Fragment": "1" } });
  const template = document.createElement("template");
  template.innerHTML = await answer.text();
  return template.content;
}

function show(button) {
  const reading = button.closest(".reading");
  for (const other of reading.querySelectorAll("[data-view]")) other.setAttribute("aria-pressed", String(other === button));
  const picture = reading.querySelector(".picture");
  const image = picture.querySelector("img");
  picture.href = button.dataset.view;
  image.src = button.dataset.view;
  image.alt = `${button.textContent}: ${reading.querySelector(".tag").textContent}`;
}

async function remove(id) {
  if (!confirm("Delete this reading and its pictures?")) return;
  try {
    await request(`/api/v1/analyses/${id}`, { method: "DELETE" });
    for (const place of document.querySelectorAll(`[data-analysis="${id}"]`)) place.remove();
    if (drop) say("Deleted.");
    else location.assign("/try");
  } catch (error) {
    say(error.message);
  }
}
