// What every page has: the theme, times in the reader's own zone, requests that carry the session's token, short messages.

const root = document.documentElement;
const kept = localStorage.getItem("theme");
if (kept) root.dataset.theme = kept;
document.getElementById("theme")?.addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
});

/** Shows every <time datetime> below `place` in the reader's own time zone. */
export function localTimes(place = document) {
  for (const time of place.querySelectorAll("time[datetime]")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.textContent = at.toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" });
    time.title = time.dateTime;
  }
}
localTimes();

/** A request to this node; throws an Error with the problem's words if it did not go well. */
export async function request(path, options = {}) {
  const token = document.querySelector('meta[name="csrf-token"]')?.content;
  const headers = new Headers(options.headers);
  if (token) headers.set("X-CSRF-Token", token);
  const response = await fetch(path, { ...options, headers });
  if (response.ok) return response;
  if (response.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  const problem = await response.json().catch(() => ({ title: `${response.status} ${response.statusText}` }));
  throw new Error(problem.detail ? `${problem.title}. ${problem.detail}` : problem.title);
}

/** A message that goes by itself. */
export function say(text) {
  const toast = document.createElement("div");
  toast.className = "toast";
  toast.textContent = text;
  document.getElementById("toasts").append(toast);
  setTimeout(() => toast.remove(), 8000);
}
