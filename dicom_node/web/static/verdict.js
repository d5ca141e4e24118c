// A radiologist's verdict: what is there, and boxes that are drawn, moved, resized and removed on the film.

import { request, say } from "./base.js";
import { drawn, place, rectOf } from "./film_marks.js";

const LEAST = 4;
const HANDLE = 12;
const CORNERS = [[0, 1], [2, 1], [0, 3], [2, 3]];

/** The boxes that a person draws; a tool of the viewer while drawing is on. */
export class SaidBoxes {
  constructor(svg, viewer, changed) {
    this.viewer = viewer;
    this.changed = changed;
    this.group = svg.appendChild(drawn("g", { class: "said-boxes", hidden: "" }));
    this.boxes = [];
    this.chosen = -1;
    viewer.draws.push(() => this.draw());
  }

  set(boxes) {
    this.boxes = boxes.map((box) => [...box]);
    this.choose(-1);
  }

  show(visible) {
    this.group.toggleAttribute("hidden", !visible);
    this.draw();
  }

  choose(index) {
    this.chosen = index;
    this.draw();
    this.changed();
  }

  add(box) {
    this.boxes.push(box);
    this.choose(this.boxes.length - 1);
  }

  /** A box in the middle of what is seen, for hands that cannot drag. */
  addHere() {
    const { viewer } = this;
    const [x0, y0] = viewer.toFilm(viewer.width * 0.4, viewer.height * 0.4);
    const [x1, y1] = viewer.toFilm(viewer.width * 0.6, viewer.height * 0.6);
    this.add(this.within([x0, y0, x1, y1]));
  }

  remove(index) {
    this.boxes.splice(index, 1);
    this.choose(-1);
  }

  /** Moves a box by film pixels, or its lower right corner. */
  nudge(index, right, down, resize) {
    const [x0, y0, x1, y1] = this.boxes[index];
    this.boxes[index] = resize
      ? this.within([x0, y0, Math.max(x0 + LEAST, x1 + right), Math.max(y0 + LEAST, y1 + down)])
      : this.moved([x0, y0, x1, y1], right, down);
    this.choose(index);
  }

  within([x0, y0, x1, y1]) {
    const { columns, rows } = this.viewer.film;
    const inside = (value, most) => Math.round(10 * Math.min(most, Math.max(0, value))) / 10;
    return [inside(Math.min(x0, x1), columns), inside(Math.min(y0, y1), rows), inside(Math.max(x0, x1), columns), inside(Math.max(y0, y1), rows)];
  }

  moved([x0, y0, x1, y1], right, down) {
    const { columns, rows } = this.viewer.film;
    const byX = Math.min(columns - x1, Math.max(-x0, right));
    const byY = Math.min(rows - y1, Math.max(-y0, down));
    return this.within([x0 + byX, y0 + byY, x1 + byX, y1 + byY]);
  }

  // --- as the viewer's tool -----------------------------------------------------------------------

  down(x, y) {
    const reach = HANDLE / this.viewer.zoom;
    const corner = this.boxes.flatMap((box, index) => CORNERS.map((ends) => ({ box, index, ends })))
      .find(({ box, ends: [across, along] }) => Math.abs(box[across] - x) < reach && Math.abs(box[along] - y) < reach);
    if (corner) {
      const { box, index, ends: [across, along] } = corner;
      this.hold = { way: "size", index, fixed: [box[2 - across], box[4 - along]] };
      this.choose(index);
      return;
    }
    const index = this.boxes.findLastIndex(([x0, y0, x1, y1]) => x >= x0 && x <= x1 && y >= y0 && y <= y1);
    this.hold = index >= 0 ? { way: "move", index, from: [x, y], box: this.boxes[index] } : { way: "new", from: [x, y] };
    this.choose(index);
  }

  move(x, y) {
    const { hold } = this;
    if (!hold) return;
    if (hold.way === "move") this.boxes[hold.index] = this.moved(hold.box, x - hold.from[0], y - hold.from[1]);
    else if (hold.way === "size") this.boxes[hold.index] = this.within([...hold.fixed, x, y]);
    else hold.box = this.within([...hold.from, x, y]);
    this.draw();
  }

  up() {
    const { hold } = this;
    this.hold = null;
    if (!hold) return;
    const large = ([x0, y0, x1, y1]) => x1 - x0 >= LEAST && y1 - y0 >= LEAST;
    if (hold.way === "new") {
      if (hold.box && large(hold.box)) this.add(hold.box);
    } else if (!large(this.boxes[hold.index])) this.remove(hold.index);
    this.changed();
    this.draw();
  }

  cancel() {
    this.hold = null;
    this.draw();
  }

  draw() {
    this.group.replaceChildren();
    if (this.group.hasAttribute("hidden")) return;
    const all = this.hold?.way === "new" && this.hold.box ? [...this.boxes, this.hold.box] : this.boxes;
    all.forEach((box, index) => {
      const rect = rectOf(this.viewer, box);
      for (const kind of ["halo", index === this.chosen ? "frame chosen" : "frame"]) {
        const element = this.group.appendChild(drawn("rect", { class: kind }));
        place(element, rect);
      }
      this.group.appendChild(drawn("text", { class: "label", x: rect.left + 4, y: rect.top + rect.height - 6 }, `${index + 1}`));
      if (this.viewer.tool !== this) return;
      for (const [across, along] of CORNERS) {
        const [x, y] = this.viewer.toStage(box[across], box[along]);
        this.group.appendChild(drawn("rect", { class: "handle", x: x - 5, y: y - 5, width: 10, height: 10 }));
      }
    });
  }
}

/** The form beside the film. */
export class VerdictForm {
  constructor(form, svg, viewer, data) {
    this.form = form;
    this.data = data;
    this.viewer = viewer;
    this.where = document.getElementById("where");
    this.list = document.getElementById("said-boxes");
    this.drawButton = document.getElementById("draw");
    this.said = new SaidBoxes(svg, viewer, () => this.listBoxes());
    this.said.set(data.said ? data.said.boxes : data.regions.map(({ box }) => box));
    form.addEventListener("change", (event) => this.change(event.target));
    form.addEventListener("submit", (event) => this.submit(event));
    this.drawButton.addEventListener("click", () => this.toggleDrawing());
    document.getElementById("add-box").addEventListener("click", () => this.said.addHere());
    this.list.addEventListener("keydown", (event) => this.key(event));
    this.change(null);
  }

  value(name) {
    return new FormData(this.form).get(name);
  }

  change(target) {
    if (target?.name === "agrees" && target.value === "yes") {
      const word = { fracture: "present", "no fracture": "absent" }[this.data.outcome];
      if (word) this.form.elements.fracture.value = word;
    }
    const present = this.value("fracture") === "present";
    this.where.hidden = !present;
    this.said.show(present);
    if (!present) this.setDrawing(false);
  }

  toggleDrawing() {
    if (this.where.hidden) {
      this.form.elements.fracture.value = "present";
      this.change(null);
      this.setDrawing(true);
    } else this.setDrawing(this.viewer.tool !== this.said);
  }

  setDrawing(on) {
    this.viewer.tool = on ? this.said : null;
    this.viewer.stage.classList.toggle("drawing", on);
    this.drawButton.setAttribute("aria-pressed", String(on));
    this.said.draw();
  }

  listBoxes() {
    const lines = this.said.boxes.map((box, index) => {
      const line = document.createElement("li");
      const choose = document.createElement("button");
      choose.type = "button";
      choose.className = "quiet";
      choose.dataset.index = index;
      choose.setAttribute("aria-pressed", String(index === this.said.chosen));
      const [x0, y0, x1, y1] = box.map(Math.round);
      choose.textContent = `Box ${index + 1}: ${x1 - x0} × ${y1 - y0} at ${x0}, ${y0}`;
      choose.title = "Arrows move it, with Shift they resize it, Delete removes it";
      choose.addEventListener("click", () => this.chooseLine(index));
      const remove = document.createElement("button");
      remove.type = "button";
      remove.className = "quiet";
      remove.textContent = "Remove";
      remove.setAttribute("aria-label", `Remove box ${index + 1}`);
      remove.addEventListener("click", () => this.said.remove(index));
      line.append(choose, remove);
      return line;
    });
    const focused = document.activeElement?.dataset?.index;
    this.list.replaceChildren(...lines);
    if (focused !== undefined) this.list.querySelector(`[data-index="${focused}"]`)?.focus();
  }

  chooseLine(index) {
    this.said.choose(index);
    this.list.querySelector(`[data-index="${index}"]`)?.focus();
  }

  key(event) {
    const index = Number(event.target.dataset.index ?? -1);
    if (index < 0) return;
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
    const step = Math.max(1, 4 / this.viewer.zoom);
    if (event.key === "Delete") this.said.remove(index);
    else if (ways[event.key]) this.said.nudge(index, ...ways[event.key].map((way) => way * step), event.shiftKey);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  removeChosen() {
    if (this.said.chosen >= 0) this.said.remove(this.said.chosen);
  }

  async submit(event) {
    event.preventDefault();
    const error = document.getElementById("verdict-error");
    error.textContent = "";
    const fracture = this.value("fracture");
    const given = {
      outcome: this.data.outcome,
      agrees: this.value("agrees") === "yes",
      fracture,
      boxes: fracture === "present" ? this.said.boxes : [],
      comment: this.value("comment"),
    };
    try {
      const answer = await request(`/api/v1/jobs/${this.data.job}/verdict`, {
        method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(given),
      });
      this.told(await answer.json());
    } catch (problem) {
      error.textContent = problem.message;
    }
  }

  told(verdict) {
    this.setDrawing(false);
    const list = document.getElementById("verdicts");
    list.querySelector(".none")?.remove();
    const line = document.createElement("li");
    const who = document.createElement("strong");
    who.textContent = verdict.person;
    const boxes = verdict.boxes.length ? `, ${verdict.boxes.length} box${verdict.boxes.length > 1 ? "es" : ""}` : "";
    line.append(who, ` ${verdict.agrees ? "agrees" : "disagrees"}: fracture ${verdict.fracture}${boxes}`);
    if (verdict.comment) {
      const comment = document.createElement("span");
      comment.className = "comment";
      comment.textContent = verdict.comment;
      line.append(document.createElement("br"), comment);
    }
    list.prepend(line);
    const left = verdict.exported ? "" : " The film itself is not exported: its header says that words are burned in.";
    say(`Your verdict is kept. It stands in the place of an earlier one of yours on this image.${left}`);
  }
}
