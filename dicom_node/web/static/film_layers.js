// Heat and Grad-CAM: grey pictures from the server, coloured here, and laid over the film where they say something.

// Nothing of the film is covered where a map is below FAINT; nowhere more than MOST of it, as the captures do it.
const FAINT = 0.15;
const MOST = 0.55;
// Inferno (van der Walt and Smith, 2015), whose lightness rises evenly with the value; and one hue for heat.
const INFERNO = [[0, 0, 4], [31, 12, 72], [85, 15, 109], [136, 34, 106], [186, 54, 85], [227, 89, 51], [249, 140, 10], [249, 201, 50], [252, 255, 164]];
const EMBER = [[40, 10, 0], [160, 50, 10], [255, 138, 76], [255, 190, 120], [255, 240, 200]];

/** Both layers of one film; `load` asks for them once. */
export class FilmLayers {
  constructor(path) {
    this.path = path;
    this.shown = { heat: false, gradcam: false };
    this.pictures = {};
    this.arrow = null;
  }

  /** Resolves to "" when they are there, to words where they cannot be had. */
  load(request) {
    this.loading ??= this.fetch(request).catch((error) => {
      this.loading = null;
      throw error;
    });
    return this.loading;
  }

  async fetch(request) {
    const found = await (await request(this.path)).json();
    if (!found.same_model) return "Another model is active now than the one that read this film: its heat would explain another reading.";
    this.pictures.heat = await coloured(found.heat, EMBER);
    this.pictures.gradcam = await coloured(found.activation, INFERNO);
    this.arrow = found.arrow;
    return "";
  }

  draw(context, place) {
    context.imageSmoothingEnabled = true;
    for (const name of ["heat", "gradcam"]) {
      if (this.shown[name] && this.pictures[name]) context.drawImage(this.pictures[name], ...place);
    }
  }
}

/** A grey PNG in base64 as a canvas of colours, the clearer the less it says. */
async function coloured(base64, stops) {
  const picture = new Image();
  picture.src = `data:image/png;base64,${base64}`;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const image = context.getImageData(0, 0, canvas.width, canvas.height);
  const table = Uint8ClampedArray.from({ length: 1024 }, (_, at) => colour(stops, (at >> 2) / 255)[at & 3]);
  const { data } = image;
  for (let at = 0; at < data.length; at += 4) {
    const from = data[at] * 4;
    for (let part = 0; part < 4; part += 1) data[at + part] = table[from + part];
  }
  context.putImageData(image, 0, 0);
  return canvas;
}

function colour(stops, value) {
  const at = value * (stops.length - 1);
  const low = Math.min(stops.length - 2, Math.floor(at));
  const share = at - low;
  const mixed = stops[low].map((part, index) => part + share * (stops[low + 1][index] - part));
  const over = Math.max(0, (value - FAINT) / (1 - FAINT));
  return [...mixed, 255 * MOST * over ** 0.7];
}
