// The page of a study: the film on its canvas, its layers, the toolbar, the keys, the verdict.

import { request, say } from "./base.js";
import { fetchFilm } from "./film.js";
import { FilmLayers } from "./film_layers.js";
import { ArrowMark, RegionMarks } from "./film_marks.js";
import { VerdictForm } from "./verdict.js";
import { Viewer } from "./viewer.js";

const data = JSON.parse(document.getElementById("study-data")?.textContent ?? "null");
const place = document.getElementById("viewer");
const notice = document.getElementById("notice");

if (data) {
  fetchFilm(data.film).then(start, (error) => tell(error.message));
}

function tell(words) {
  notice.textContent = words;
  notice.hidden = !words;
}

function start(film) {
  const stage = document.getElementById("stage");
  const viewer = new Viewer(stage, document.getElementById("film"), film);
  const svg = document.getElementById("marks");
  const regions = new RegionMarks(svg, data.regions);
  const arrow = new ArrowMark(svg);
  const layers = new FilmLayers(data.layers);
  const shown = { boxes: true, heat: false, gradcam: false };
  viewer.underlays.push((context, where) => layers.draw(context, where));
  viewer.draws.push((view) => regions.draw(view), (view) => arrow.draw(view), (view) => tellValues(view));
  const form = document.getElementById("verdict-form");
  const verdict = form ? new VerdictForm(form, svg, viewer, data) : null;
  const acts = {
    fit: () => viewer.fit(),
    one: () => viewer.oneToOne(),
    closer: () => viewer.closer(),
    farther: () => viewer.closer(1 / 1.25),
    invert: () => viewer.invert(),
    reset: () => viewer.reset(),
    boxes: () => toggle("boxes"),
    heat: () => toggle("heat"),
    gradcam: () => toggle("gradcam"),
    help: () => document.getElementById("keys").showModal(),
    draw: () => verdict?.toggleDrawing(),
    remove: () => verdict?.removeChosen(),
  };

  async function toggle(name) {
    if (buttonOf(name)?.disabled) return;
    shown[name] = !shown[name];
    showLayers();
    if (!shown[name] || name === "boxes") return;
    tell("The model looks at the film …");
    try {
      const words = await layers.load(request);
      tell("");
      if (words) {
        say(words);
        shown.gradcam = false;
      }
    } catch (error) {
      tell("");
      say(error.message);
      shown.gradcam = false;
    }
    arrow.ends = layers.arrow;
    showLayers();
  }

  function showLayers() {
    // Outlines belong to the reading and are there without the model.
    regions.show({ boxes: shown.boxes, outlines: shown.heat });
    layers.shown = { heat: shown.heat, gradcam: shown.gradcam };
    arrow.show(shown.gradcam);
    for (const [name, on] of Object.entries(shown)) buttonOf(name)?.setAttribute("aria-pressed", String(on));
    viewer.draw();
  }

  showLayers();
  listen(acts, viewer);
  viewer.drawNow();
  // The second frame begins when the first, which shows the film, is done.
  requestAnimationFrame(() => requestAnimationFrame(() => {
    performance.mark("film-painted");
    place.dataset.painted = "yes";
  }));
}

function buttonOf(name) {
  return place.querySelector(`[data-act="${name}"]`);
}

function tellValues(view) {
  const { center, width } = view.window;
  const digits = Math.abs(width) < 20 ? 1 : 0;
  const zoom = Math.round(view.zoom * devicePixelRatio * 100);
  document.getElementById("values").textContent = `C ${center.toFixed(digits)}  W ${width.toFixed(digits)}  ${zoom} %`;
  buttonOf("invert").setAttribute("aria-pressed", String(view.inverted));
}

const KEYS = {
  "+": "closer", "=": "closer", "-": "farther", f: "fit", 1: "one", i: "invert", r: "reset",
  b: "boxes", h: "heat", g: "gradcam", d: "draw", "?": "help", Delete: "remove",
};

function listen(acts, viewer) {
  place.querySelector(".tools").addEventListener("click", (event) => {
    const act = event.target.closest("button")?.dataset.act;
    if (act) acts[act]();
  });
  for (const button of document.querySelectorAll("[data-region]")) {
    button.addEventListener("click", () => viewer.show(data.regions[Number(button.dataset.region)].box));
  }
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    if (event.target.closest("input, select, textarea, dialog")) return;
    if (place === event.target && viewer.arrow(event.key)) {
      event.preventDefault();
      return;
    }
    const act = KEYS[event.key];
    if (!act) return;
    event.preventDefault();
    acts[act]();
  });
}
