"use strict";
// What takes longer than a frame, in a thread of its own: paths of points, and the density.

let content = null;
let flow = null;
let moment = -1;
let density = 0; // the number of the density that is computed

const CELLS = [24, 48, 96, 192]; // along each side, finer and finer
const ROWS = 4; // computed at once, between two looks at the messages

// Points at every stage, latent first.
function paths(points, classes) {
  return [points, ...Array.from(flow.steps(points, classes), (step) => step.points)];
}

// The log-density over a square, row by row from the top.
async function densities({ id, box: [left, bottom, side], classes }) {
  density = id;
  for (const cells of CELLS) {
    const values = new Float32Array(cells * cells);
    const across = (i) => ((i + 0.5) * side) / cells;
    for (let row = 0; row < cells; row += ROWS) {
      const n = ROWS * cells;
      const xs = Float64Array.from({ length: n }, (_, j) => left + across(j % cells));
      const ys = Float64Array.from({ length: n }, (_, j) =>
        bottom + side - across(row + Math.floor(j / cells)));
      values.set(flow.logProb([xs, ys], classes), row * cells);
      await new Promise((resolve) => { setTimeout(resolve); });
      if (density !== id) return;
    }
    postMessage({ task: "density", id, cells, values });
  }
}

onmessage = ({ data }) => {
  if (data.task === "content") {
    content = data.content;
    return;
  }
  if (data.moment !== moment) {
    moment = data.moment;
    flow = flowAt(content, moment);
  }
  if (data.task === "paths") {
    const { id, samples, grid, classes } = data;
    postMessage({ task: "paths", id, samples: paths(samples, classes), grid: paths(grid, classes) });
  } else {
    densities(data);
  }
};
