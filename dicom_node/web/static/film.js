// A film's values in all their depth, and pictures of them through a window. No picture is larger than it is shown.
//
// Values are halved in steps once. What is shown comes from the coarsest step that is not coarser than the screen, each
// value through a table of 65,536 greys: a new window costs one look-up for each pixel, moving costs nothing. Measured
// on processors alone this is faster than a texture that software must draw, and it needs no WebGL.

const LEVELS = 65536;
const BLACK = 0xff000000;

/** A film as the server gives it: about (see Film-Description) and values, Uint16Array of rows x columns. */
export class Film {
  constructor(about, values) {
    this.about = about;
    this.columns = about.columns;
    this.rows = about.rows;
    this.aspect = about.aspect;
    this.steps = [{ values, width: about.columns, height: about.rows, scale: 1 }];
    this.table = new Uint32Array(LEVELS);
  }

  /** The window that the film comes with, as it is shown first. */
  get firstWindow() {
    return { center: this.about.window_center, width: this.about.window_width, inverted: this.about.inverted };
  }

  /** The step that suits a screen on which one film pixel takes `size` screen pixels; made when it is first asked for. */
  step(size) {
    const wanted = Math.max(0, Math.floor(Math.log2(1 / size) + 0.01));
    while (this.steps.length <= wanted) {
      const last = this.steps.at(-1);
      if (Math.min(last.width, last.height) < 2) break;
      this.steps.push(halved(last));
    }
    return this.steps[Math.min(wanted, this.steps.length - 1)];
  }

  /** The step as a canvas, seen through the window; kept until the window is another one. */
  picture(step, window) {
    const key = `${window.center} ${window.width} ${window.inverted}`;
    if (step.key === key) return step.canvas;
    this.setTable(window, key);
    if (!step.canvas) {
      step.canvas = document.createElement("canvas");
      step.canvas.width = step.width;
      step.canvas.height = step.height;
      step.context = step.canvas.getContext("2d", { alpha: false });
      step.image = step.context.createImageData(step.width, step.height);
      step.words = new Uint32Array(step.image.data.buffer);
    }
    const { values, words } = step;
    const table = this.table;
    for (let at = 0; at < values.length; at += 1) words[at] = table[values[at]];
    step.context.putImageData(step.image, 0, 0);
    step.key = key;
    return step.canvas;
  }

  /** The grey of every value, PS3.3 C.11.2.1.2 and C.11.2.1.3, as opaque pixels. */
  setTable(window, key) {
    if (this.tableKey === key) return;
    const { slope, intercept, voi_function: shape } = this.about;
    const { center, width, inverted } = window;
    for (let value = 0; value < LEVELS; value += 1) {
      const bright = brightness(slope * value + intercept, center, width, shape);
      const grey = Math.round(255 * (inverted ? 1 - bright : bright));
      this.table[value] = BLACK | (grey << 16) | (grey << 8) | grey;
    }
    this.tableKey = key;
  }
}

/** 0 to 1. */
export function brightness(x, center, width, shape) {
  if (shape === "SIGMOID") return 1 / (1 + Math.exp((-4 * (x - center)) / width));
  if (shape === "LINEAR_EXACT") return Math.min(1, Math.max(0, (x - center) / width + 0.5));
  if (width <= 1) return x > center - 0.5 ? 1 : 0;
  return Math.min(1, Math.max(0, (x - (center - 0.5)) / (width - 1) + 0.5));
}

/** Half as wide and high, each value the mean of four; an odd edge is doubled. */
function halved({ values, width, height, scale }) {
  const half = { width: (width + 1) >> 1, height: (height + 1) >> 1, scale: scale * 2 };
  const means = new Uint16Array(half.width * half.height);
  for (let y = 0, at = 0; y < half.height; y += 1) {
    const upper = 2 * y * width;
    const lower = Math.min(2 * y + 1, height - 1) * width;
    for (let x = 0; x < half.width; x += 1, at += 1) {
      const left = 2 * x;
      const right = left + 1 < width ? left + 1 : left;
      means[at] = (values[upper + left] + values[upper + right] + values[lower + left] + values[lower + right] + 2) >> 2;
    }
  }
  return { ...half, values: means };
}

/** Asks the server for a film. */
export async function fetchFilm(path) {
  // As the page's preload asks, so that it is fetched once.
  const response = await fetch(path);
  if (!response.ok) {
    const problem = await response.json().catch(() => ({ title: `${response.status}` }));
    throw new Error(problem.detail ? `${problem.title}: ${problem.detail}` : problem.title);
  }
  const about = JSON.parse(response.headers.get("Film-Description"));
  const bytes = await response.arrayBuffer();
  return new Film(about, valuesOf(bytes));
}

/** Little-endian bytes as values, also on a processor that counts the other way. */
function valuesOf(bytes) {
  if (new Uint8Array(new Uint16Array([1]).buffer)[0] === 1) return new Uint16Array(bytes);
  const view = new DataView(bytes);
  return Uint16Array.from({ length: bytes.byteLength / 2 }, (_, at) => view.getUint16(2 * at, true));
}
