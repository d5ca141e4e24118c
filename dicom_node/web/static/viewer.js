// The canvas of a film: window, zoom, place, and the hands and keys that change them.

const NEAREST = 32;
const PRESETS = { step: 1.25, keyMove: 60 };

/** Draws a film into `stage` (its canvas within); `draws` are called after each drawing, to lay marks over it. */
export class Viewer {
  constructor(stage, canvas, film) {
    this.stage = stage;
    this.canvas = canvas;
    this.context = canvas.getContext("2d", { alpha: false });
    this.film = film;
    this.window = film.firstWindow;
    this.draws = [];
    this.underlays = [];
    // A drawing tool that wants the main pointer: gets "down", "move", "up" with film coordinates; null for none.
    this.tool = null;
    this.fitted = true;
    this.pointers = new Map();
    this.space = false;
    this.fit();
    new ResizeObserver(() => this.resized()).observe(stage);
    this.listen();
  }

  // --- places -------------------------------------------------------------------------------------

  get width() {
    return this.stage.clientWidth;
  }

  get height() {
    return this.stage.clientHeight;
  }

  /** From the film's pixels to the stage's. */
  toStage(x, y) {
    return [(x - this.x) * this.zoom + this.width / 2, (y - this.y) * this.zoom * this.film.aspect + this.height / 2];
  }

  /** From the stage's pixels to the film's. */
  toFilm(left, top) {
    return [(left - this.width / 2) / this.zoom + this.x, (top - this.height / 2) / (this.zoom * this.film.aspect) + this.y];
  }

  get fittingZoom() {
    const { columns, rows, aspect } = this.film;
    return Math.max(1e-3, Math.min(this.width / columns, this.height / (rows * aspect)));
  }

  /** The whole film. */
  fit() {
    this.fitted = true;
    this.x = this.film.columns / 2;
    this.y = this.film.rows / 2;
    this.zoom = this.fittingZoom;
    this.draw();
  }

  /** One film pixel on one screen pixel. */
  oneToOne() {
    this.zoomTo(1 / devicePixelRatio);
  }

  /** That zoom, and what lies at (left, top) of the stage stays there. */
  zoomTo(zoom, left = this.width / 2, top = this.height / 2) {
    const [x, y] = this.toFilm(left, top);
    this.fitted = false;
    this.zoom = Math.min(NEAREST, Math.max(this.fittingZoom / 4, zoom));
    const [nowX, nowY] = this.toFilm(left, top);
    this.x += x - nowX;
    this.y += y - nowY;
    this.keepInSight();
    this.draw();
  }

  closer(times = PRESETS.step) {
    this.zoomTo(this.zoom * times);
  }

  /** Moves the film by pixels of the stage. */
  move(right, down) {
    this.fitted = false;
    this.x -= right / this.zoom;
    this.y -= down / (this.zoom * this.film.aspect);
    this.keepInSight();
    this.draw();
  }

  /** Shows a place of the film, with some of what is around it. */
  show([x0, y0, x1, y1]) {
    const zoom = Math.min(this.width / (3 * (x1 - x0)), this.height / (3 * (y1 - y0) * this.film.aspect), 4);
    this.fitted = false;
    this.zoom = Math.max(zoom, this.fittingZoom);
    this.x = (x0 + x1) / 2;
    this.y = (y0 + y1) / 2;
    this.draw();
  }

  keepInSight() {
    this.x = Math.min(this.film.columns, Math.max(0, this.x));
    this.y = Math.min(this.film.rows, Math.max(0, this.y));
  }

  resized() {
    if (this.fitted) this.fit();
    else this.draw();
  }

  // --- window -------------------------------------------------------------------------------------

  /** Wider and higher by pixels of the hand. */
  changeWindow(wider, higher) {
    const { lowest, highest } = this.film.about;
    const step = Math.max(highest - lowest, 1) / 800;
    const width = Math.max(this.film.about.voi_function === "LINEAR" ? 1 : 1e-3, this.window.width + wider * step);
    this.window = { ...this.window, width, center: this.window.center + higher * step };
    this.hurry();
  }

  invert() {
    this.window = { ...this.window, inverted: !this.window.inverted };
    this.draw();
  }

  get inverted() {
    return this.window.inverted !== this.film.firstWindow.inverted;
  }

  reset() {
    this.window = this.film.firstWindow;
    this.fit();
  }

  // --- drawing ------------------------------------------------------------------------------------

  /** With the next frame. */
  draw() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      this.drawNow();
    });
  }

  /** While a window is being changed a large film is drawn from fewer pixels, and finely once the hand rests. */
  hurry() {
    this.hurried = true;
    clearTimeout(this.resting);
    this.resting = setTimeout(() => {
      this.hurried = false;
      this.draw();
    }, 120);
    this.draw();
  }

  drawNow() {
    const { context, film, zoom } = this;
    const dots = devicePixelRatio;
    const [width, height] = [Math.round(this.width * dots), Math.round(this.height * dots)];
    if (!width || !height) return;
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    let step = film.step(zoom * dots);
    if (this.hurried && step.values.length > 3e6) step = film.step(Math.min(zoom * dots, 1) / 2);
    const picture = film.picture(step, this.window);
    const [left, top] = this.toStage(0, 0);
    const place = [left * dots, top * dots, film.columns * zoom * dots, film.rows * zoom * film.aspect * dots];
    context.fillStyle = "#000";
    context.fillRect(0, 0, width, height);
    context.imageSmoothingEnabled = zoom * dots < 6;
    context.imageSmoothingQuality = "high";
    const across = film.columns / step.scale;
    const down = film.rows / step.scale;
    context.drawImage(picture, 0, 0, across, down, ...place);
    for (const under of this.underlays) under(context, place);
    for (const follow of this.draws) follow(this);
  }

  // --- hands --------------------------------------------------------------------------------------

  listen() {
    const { stage } = this;
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.moved(event));
    for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => this.up(event));
    stage.addEventListener("dblclick", () => !this.tool && this.fit());
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    // The middle button scrolls elsewhere.
    stage.addEventListener("mousedown", (event) => event.button === 1 && event.preventDefault());
    document.addEventListener("keydown", (event) => event.code === "Space" && this.holdSpace(event, true));
    document.addEventListener("keyup", (event) => event.code === "Space" && this.holdSpace(event, false));
  }

  holdSpace(event, held) {
    if (held && !this.stage.contains(event.target) && event.target !== this.stage.parentElement) return;
    if (held) event.preventDefault();
    this.space = held;
  }

  place(event) {
    const { left, top } = this.stage.getBoundingClientRect();
    return [event.clientX - left, event.clientY - top];
  }

  down(event) {
    if (event.button === 2 || event.target.closest?.("button, a")) return;
    this.stage.setPointerCapture(event.pointerId);
    this.stage.parentElement.focus({ preventScroll: true });
    this.pointers.set(event.pointerId, this.place(event));
    if (this.pointers.size > 1) {
      this.tool?.cancel();
      this.way = "pinch";
      return;
    }
    const touch = event.pointerType === "touch";
    if (event.button === 1 || this.space) this.way = "move";
    else if (this.tool) this.way = "tool";
    else this.way = touch ? "move" : "window";
    if (this.way === "tool") this.tool.down(...this.toFilm(...this.place(event)), event);
  }

  moved(event) {
    const before = this.pointers.get(event.pointerId);
    const now = this.place(event);
    if (!before) {
      this.tool?.hover?.(...this.toFilm(...now));
      return;
    }
    if (this.way === "pinch") this.pinch(event.pointerId, now);
    this.pointers.set(event.pointerId, now);
    const [right, down] = [now[0] - before[0], now[1] - before[1]];
    if (this.way === "move") this.move(right, down);
    else if (this.way === "window") this.changeWindow(right, down);
    else if (this.way === "tool") this.tool.move(...this.toFilm(...now));
  }

  up(event) {
    if (!this.pointers.delete(event.pointerId)) return;
    if (this.way === "tool") this.tool?.up(...this.toFilm(...this.place(event)));
    this.way = this.pointers.size === 1 && this.way === "pinch" ? "move" : null;
  }

  /** Two fingers: the film grows as they part, and goes where they go. */
  pinch(id, now) {
    const other = [...this.pointers].find(([key]) => key !== id)?.[1];
    if (!other) return;
    const before = this.pointers.get(id);
    const apart = (a, b) => Math.hypot(a[0] - b[0], a[1] - b[1]);
    const middle = [(now[0] + other[0]) / 2, (now[1] + other[1]) / 2];
    this.move((now[0] - before[0]) / 2, (now[1] - before[1]) / 2);
    this.zoomTo((this.zoom * apart(now, other)) / Math.max(1, apart(before, other)), ...middle);
  }

  wheel(event) {
    if (event.ctrlKey && event.deltaY === 0) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    this.zoomTo(this.zoom * Math.exp(-Math.max(-240, Math.min(240, event.deltaY * lines)) / 400), ...this.place(event));
  }

  /** Arrows move the film while it has the focus. */
  arrow(key) {
    const ways = { ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (!ways[key]) return false;
    this.move(...ways[key].map((way) => way * PRESETS.keyMove));
    return true;
  }
}
