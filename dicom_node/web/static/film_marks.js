// Marks over a film, in SVG: their lines keep their width at every zoom. A solid line is a fracture, a dashed one a doubt.

const SVG = "http://www.w3.org/2000/svg";

/** An SVG element with attributes. */
export function drawn(name, attributes = {}, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text) element.textContent = text;
  return element;
}

/** The model's regions: boxes with their probability, and the outlines of the heat in them. */
export class RegionMarks {
  constructor(svg, regions) {
    this.boxes = svg.appendChild(drawn("g", { class: "regions" }));
    this.outlines = svg.appendChild(drawn("g", { class: "outlines" }));
    this.regions = regions.map((region) => this.mark(region));
  }

  mark(region) {
    const kind = region.outcome.replace(" ", "-");
    const percent = `${Math.round(region.probability * 100)} % ${region.outcome}`;
    return {
      ...region,
      back: this.boxes.appendChild(drawn("rect", { class: "halo" })),
      frame: this.boxes.appendChild(drawn("rect", { class: `frame ${kind}` })),
      label: this.boxes.appendChild(drawn("text", { class: `label ${kind}` }, percent)),
      outline: this.outlines.appendChild(drawn("polygon", { class: `outline ${kind}` })),
    };
  }

  show({ boxes, outlines }) {
    this.boxes.toggleAttribute("hidden", !boxes);
    this.outlines.toggleAttribute("hidden", !outlines);
  }

  draw(viewer) {
    for (const { box, contour, back, frame, label, outline } of this.regions) {
      const rect = rectOf(viewer, box);
      place(back, rect, 2);
      place(frame, rect, 2);
      // Above the box, or within it where there is no room above.
      const above = rect.top > 22;
      label.setAttribute("x", Math.max(4, rect.left));
      label.setAttribute("y", above ? rect.top - 7 : rect.top + 18);
      outline.setAttribute("points", contour.map(([x, y]) => viewer.toStage(x, y).map((at) => at.toFixed(1)).join(",")).join(" "));
    }
  }
}

/** Grad-CAM's arrow. */
export class ArrowMark {
  constructor(svg) {
    this.group = svg.appendChild(drawn("g", { class: "arrow", hidden: "" }));
    this.halo = this.group.appendChild(drawn("path", { class: "halo" }));
    this.line = this.group.appendChild(drawn("path", { class: "line" }));
    this.ends = null;
  }

  show(visible) {
    this.group.toggleAttribute("hidden", !(visible && this.ends));
  }

  draw(viewer) {
    if (!this.ends) return;
    const [x0, y0, x1, y1] = this.ends;
    const [tailX, tailY] = viewer.toStage(x0, y0);
    const [headX, headY] = viewer.toStage(x1, y1);
    const turn = Math.atan2(headY - tailY, headX - tailX);
    const barb = (by) => `${headX - 16 * Math.cos(turn + by)},${headY - 16 * Math.sin(turn + by)}`;
    const path = `M${tailX},${tailY} L${headX},${headY} M${barb(0.45)} L${headX},${headY} L${barb(-0.45)}`;
    this.halo.setAttribute("d", path);
    this.line.setAttribute("d", path);
  }
}

/** A film's box as a rectangle of the stage. */
export function rectOf(viewer, [x0, y0, x1, y1]) {
  const [left, top] = viewer.toStage(x0, y0);
  const [right, bottom] = viewer.toStage(x1, y1);
  return { left, top, width: right - left, height: bottom - top };
}

/** Puts a rectangle there, grown so that its line covers nothing of what is within. */
export function place(element, { left, top, width, height }, grown = 0) {
  element.setAttribute("x", left - grown);
  element.setAttribute("y", top - grown);
  element.setAttribute("width", Math.max(0, width + 2 * grown));
  element.setAttribute("height", Math.max(0, height + 2 * grown));
}
