"use strict";
// What is seen: two canvases, and the controls. Nothing here computes with the flow but one point.

const content = JSON.parse(document.getElementById("content").textContent);
const part = (id) => document.getElementById(id);
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const DARK = matchMedia("(prefers-color-scheme: dark)");
const SAMPLES = 1500;
const LINES = 25; // of the grid, along each axis
const HUES = 36;
const SECONDS_A_LAYER = 0.35;
const PALETTE = [[68, 1, 84], [65, 68, 135], [42, 120, 142], [34, 168, 132], [122, 209, 81],
  [253, 231, 37]]; // viridis, from no density to the highest

const last = content.moments.length - 1;
const reach = content.base === "normal" ? 3 : 5.4; // of the grid in latent space
const depth = content.layers.length;
let flow = flowAt(content, last);
const state = {
  moment: last, stage: 0, temperature: 1, classes: 0, playing: false,
  latents: flow.draw(SAMPLES),
  probe: content.probe,
};
let journey = null; // paths of samples and grid, and what is seen at each stage
let picture = null; // the density as it was computed last
let asked = 0; // the number of the last question to the thread
let dirty = false;

// The thread

const thread = new Worker(URL.createObjectURL(new Blob(
  [part("program").textContent, part("thread").textContent], { type: "text/javascript" })));
thread.postMessage({ task: "content", content });

thread.onmessage = ({ data }) => {
  if (data.task === "density" && data.id === asked) picture = image(data);
  if (data.task === "paths") {
    journey = { samples: data.samples, grid: data.grid, windows: data.samples.map(around),
      hues: hues(data.samples[0]) };
    journey.windows[depth] = content.box;
  }
  draw();
};

// Ask for everything that the settings change; what was asked before is not shown any more.
function ask() {
  asked += 1;
  const { moment, classes, temperature } = state;
  const samples = state.latents.map((column) => column.map((z) => temperature * z));
  const side = Array.from({ length: LINES }, (_, i) => reach * ((2 * i) / (LINES - 1) - 1));
  const grid = [Float64Array.from(side.flatMap((z) => side.map(() => z))),
    Float64Array.from(side.flatMap(() => side))];
  thread.postMessage({ task: "paths", id: asked, moment, classes, samples, grid });
  askDensity();
}

function askDensity() {
  const { moment, classes } = state;
  thread.postMessage({ task: "density", id: asked, moment, classes, box: content.box });
}

// Geometry: a window is [left, bottom, side].

// A square around most of the points.
function around(points) {
  const ends = points.map((column) => {
    const sorted = Float64Array.from(column).filter(Number.isFinite).sort();
    return [sorted[Math.floor(0.01 * sorted.length)], sorted[Math.ceil(0.99 * sorted.length) - 1]];
  });
  const side = 1.3 * Math.max(...ends.map(([low, high]) => high - low), 1e-9);
  return [...ends.map(([low, high]) => (low + high - side) / 2), side];
}

const mix = (a, b, share) => a + (b - a) * share;

// What lies between two stages: each number moves evenly.
function between(stages, stage) {
  const below = Math.min(Math.floor(stage), depth - 1);
  const share = stage - below;
  return (number) => mix(number(stages[below]), number(stages[below + 1]), share);
}

// A function from coordinates to pixels.
function onto([left, bottom, side], size) {
  return (x, y) => [((x - left) / side) * size, (1 - (y - bottom) / side) * size];
}

// By the latent angle of every point: which points have which colour.
function hues([first, second]) {
  const groups = Array.from({ length: HUES }, () => []);
  first.forEach((z, j) => {
    const turn = Math.atan2(second[j], z) / (2 * Math.PI) + 0.5;
    groups[Math.min(Math.floor(turn * HUES), HUES - 1)].push(j);
  });
  return groups;
}

// Pictures

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name);

function surface(canvas) {
  const size = Math.round(canvas.clientWidth * devicePixelRatio);
  if (canvas.width !== size) [canvas.width, canvas.height] = [size, size];
  const context = canvas.getContext("2d");
  context.clearRect(0, 0, size, size);
  return { context, size, unit: size / 500 };
}

function drawJourney() {
  const { context, size, unit } = surface(part("journey"));
  if (!journey) return;
  const seen = between(journey.windows, state.stage);
  const at = onto([0, 1, 2].map((k) => seen((window) => window[k])), size);
  const place = (stages) => {
    const now = between(stages, state.stage);
    return (j) => at(now(([first]) => first[j]), now(([, second]) => second[j]));
  };
  if (part("grid").checked) {
    const node = place(journey.grid);
    context.strokeStyle = colour("--faint");
    context.lineWidth = unit;
    context.beginPath();
    for (let i = 0; i < LINES; i += 1) {
      for (const index of [(k) => i * LINES + k, (k) => k * LINES + i]) {
        for (let k = 0; k < LINES; k += 1) context[k ? "lineTo" : "moveTo"](...node(index(k)));
      }
    }
    context.stroke();
  }
  const sample = place(journey.samples);
  const dot = 2.6 * unit;
  journey.hues.forEach((group, hue) => {
    context.fillStyle = `hsl(${(360 * hue) / HUES} 75% ${DARK.matches ? 62 : 45}%)`;
    for (const j of group) {
      const [x, y] = sample(j);
      context.fillRect(x - dot / 2, y - dot / 2, dot, dot);
    }
  });
  const path = probed().map(({ points }) => points);
  const node = path.map(([first, second]) => at(first[0], second[0]));
  const now = place(path)(0);
  context.strokeStyle = colour("--accent");
  context.lineWidth = 1.5 * unit;
  context.beginPath();
  for (const p of node.slice(0, Math.floor(state.stage) + 1)) context.lineTo(...p);
  context.lineTo(...now);
  context.stroke();
  mark(context, now, unit);
}

function mark(context, [x, y], unit) {
  context.beginPath();
  context.arc(x, y, 5 * unit, 0, 2 * Math.PI);
  context.fillStyle = colour("--accent");
  context.fill();
  context.strokeStyle = colour("--ground");
  context.lineWidth = 2 * unit;
  context.stroke();
}

// Log-densities as a small picture, from none to nearly the highest.
function image({ cells, values }) {
  const sorted = Float32Array.from(values).filter(Number.isFinite).sort();
  const highest = Math.exp(sorted[Math.floor(0.998 * (sorted.length - 1))]);
  const canvas = Object.assign(document.createElement("canvas"), { width: cells, height: cells });
  const pixels = new ImageData(cells, cells);
  values.forEach((value, j) => {
    const height = Math.min(Math.exp(value) / highest, 1) * (PALETTE.length - 1) || 0;
    const step = Math.min(Math.floor(height), PALETTE.length - 2);
    PALETTE[step].forEach((low, k) => {
      pixels.data[4 * j + k] = mix(low, PALETTE[step + 1][k], height - step);
    });
    pixels.data[4 * j + 3] = 255;
  });
  canvas.getContext("2d").putImageData(pixels, 0, 0);
  return canvas;
}

function drawDensity() {
  const { context, size, unit } = surface(part("density"));
  if (picture) context.drawImage(picture, 0, 0, size, size);
  mark(context, onto(content.box, size)(...state.probe), unit);
}

// The point that is followed

// The point at every stage, latent first, with the log-determinant of the layer before.
function probed() {
  const x = state.probe.map((value) => Float64Array.of(value));
  const back = [...flow.steps(x, state.classes, true)];
  const stages = back.map(({ points }) => points).reverse();
  const layers = back.map(({ layer, logDet }) => ({ layer, logDet: -logDet[0] })).reverse();
  return [{ points: stages[0] }, ...layers.map((row, k) => ({ ...row, points: stages[k + 1] ?? x }))];
}

const say = (value, digits = 3) => (Number.isFinite(value) ? value.toFixed(digits) : String(value))
  .replace("-", "−");

function tell() {
  const way = probed();
  const [first, second] = way[0].points.map(([value]) => value);
  let logProb = flow.base.logProb(first) + flow.base.logProb(second);
  const start = logProb;
  const rows = way.slice(1).map(({ layer, points, logDet }) => {
    logProb -= logDet;
    return [layer.name, points.map(([value]) => say(value)).join(", "), say(logDet), say(logProb)];
  });
  const total = start - logProb;
  part("point").textContent = `At (${state.probe.map((v) => say(v, 2)).join(", ")}): log p = `
    + `${say(logProb)} nats. Its latent is (${say(first, 2)}, ${say(second, 2)}), with log p = `
    + `${say(start)}, and the flow stretches area ${say(Math.exp(total), 2)} times there.`;
  part("layers").replaceChildren(...[["latent", `${say(first)}, ${say(second)}`, "", say(start)],
    ...rows].map((cells) => {
    const row = document.createElement("tr");
    row.append(...cells.map((text) => {
      const cell = document.createElement("td");
      cell.textContent = text;
      return cell;
    }));
    return row;
  }));
  const passed = Math.ceil(state.stage - 1e-9);
  part("layer").textContent = passed === 0 ? "Latent space: samples of the base distribution."
    : `Layer ${passed} of ${depth}: ${way[passed].layer.name}. At the marked point it stretches `
      + `area ${say(Math.exp(way[passed].logDet), 2)} times.`;
}

// Drawing happens once a frame at most, and only where something has changed.

function draw() {
  if (dirty) return;
  dirty = true;
  requestAnimationFrame(() => {
    dirty = false;
    drawJourney();
    drawDensity();
    tell();
  });
}

function move(stage) {
  state.stage = Math.min(Math.max(stage, 0), depth);
  part("stage").value = state.stage;
  draw();
}

let before = 0;
function play(now) {
  if (!state.playing) return;
  const wait = STILL.matches ? 2 * SECONDS_A_LAYER : 0; // whole layers, without motion between
  const passed = (now - before) / 1000;
  if (passed >= wait) {
    before = now;
    move(wait ? Math.floor(state.stage) + 1 : state.stage + Math.min(passed, 0.1) / SECONDS_A_LAYER);
  }
  if (state.stage >= depth) toggle(false);
  requestAnimationFrame(play);
}

function toggle(playing = !state.playing) {
  state.playing = playing;
  part("play").textContent = playing ? "Pause" : "Play";
  if (!playing) return;
  if (state.stage >= depth) move(0);
  before = performance.now();
  requestAnimationFrame(play);
}

// Controls

part("stage").max = depth;
part("stage").oninput = (event) => { toggle(false); move(Number(event.target.value)); };
part("play").onclick = () => toggle();
part("grid").onchange = draw;
part("temperature").oninput = ({ target }) => {
  state.temperature = Number(target.value);
  part("degree").textContent = state.temperature.toFixed(2);
  ask();
};
part("fresh").onclick = () => { state.latents = flow.draw(SAMPLES); ask(); };

part("training").hidden = last === 0;
Object.assign(part("moment"), { max: last, value: last });
part("moment").oninput = ({ target }) => {
  state.moment = Number(target.value);
  flow = flowAt(content, state.moment);
  part("when").textContent = content.moments[state.moment].label;
  ask();
};
part("when").textContent = content.moments[last].label;

part("labels").hidden = !content.classes;
for (let label = 0; label < content.classes; label += 1) part("class").add(new Option(label, label));
part("class").onchange = ({ target }) => { state.classes = Number(target.value); ask(); };

function follow(event) {
  if (event.type === "pointermove" && event.pointerType !== "mouse" && !event.buttons) return;
  const { left, top, width } = part("density").getBoundingClientRect();
  const [x, y, side] = content.box;
  state.probe = [x + ((event.clientX - left) / width) * side,
    y + (1 - (event.clientY - top) / width) * side];
  draw();
}
part("density").onpointermove = follow;
part("density").onpointerdown = follow;

const STEPS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
document.onkeydown = (event) => {
  const { key, target } = event;
  if (event.ctrlKey || event.altKey || event.metaKey) return;
  if (["INPUT", "SELECT", "BUTTON", "SUMMARY"].includes(target.tagName)) return;
  if (key === " ") toggle();
  else if (!STEPS[key]) return;
  else if (target === part("density")) {
    state.probe = state.probe.map((value, k) => value + (STEPS[key][k] * content.box[2]) / 100);
    draw();
  } else if (STEPS[key][0]) {
    toggle(false);
    move(Math.round(state.stage) + STEPS[key][0]);
  } else return;
  event.preventDefault();
};

DARK.onchange = draw;
new ResizeObserver(draw).observe(document.body);
move(depth);
ask();
