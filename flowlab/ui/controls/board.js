// A drawing board: strokes of a brush, which Python turns into a density on the plane.
// A stroke is a flat list: the radius of its brush, then x, y, x, y, … of its corners, all in places
// from 0 to PLACES - 1, the lower left first.

const PLACES = 65536;
const SIDE = 8; // length of a side in the plane
const MOST = 20000; // corners on the board
const APART = 0.02; // units of the plane between two corners of a stroke, at least
const STEP = 0.2; // what an arrow key moves, in units of the plane
const placed = (v) => Math.min(PLACES - 1, Math.max(0, Math.floor((v / SIDE + 0.5) * PLACES)));

export default function ({ data, parentElement, setStateValue }) {
  const board = parentElement.querySelector(".board");
  board.flowlab ??= new Board(board, data.strokes);
  board.flowlab.tell = (strokes) => setStateValue("strokes", strokes);
  board.flowlab.draw(); // the theme may have changed
}

class Board {
  constructor(root, strokes) {
    this.strokes = strokes.map((stroke) => [...stroke]);
    this.canvas = root.querySelector("canvas");
    this.size = root.querySelector(".size");
    this.undo = root.querySelector(".undo");
    this.clear = root.querySelector(".clear");
    this.count = root.querySelector("output");
    this.at = null; // the brush, in units of the plane
    this.drawing = false;
    this.listen();
    new ResizeObserver(() => this.draw()).observe(this.canvas);
  }

  listen() {
    const canvas = this.canvas;
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      canvas.focus({ preventScroll: true });
      this.drawing = true;
      this.begin(this.place(event));
    });
    canvas.addEventListener("pointermove", (event) => {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) {
        if (this.drawing) this.move(this.place(each));
        else this.at = this.place(each);
      }
      this.draw();
    });
    for (const name of ["pointerup", "pointercancel"]) {
      canvas.addEventListener(name, () => this.drawing && this.end());
    }
    canvas.addEventListener("pointerleave", () => {
      if (!this.drawing) this.at = null;
      this.draw();
    });
    canvas.addEventListener("keydown", (event) => this.key(event));
    this.size.addEventListener("input", () => this.draw());
    this.undo.addEventListener("click", () => this.change(() => this.strokes.pop()));
    this.clear.addEventListener("click", () => this.change(() => (this.strokes = [])));
  }

  key(event) {
    const ways = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
    if (event.key in ways) {
      const [x, y] = this.at ?? [0, 0];
      const inside = (v) => Math.min(SIDE / 2, Math.max(-SIDE / 2, v));
      this.at = [inside(x + STEP * ways[event.key][0]), inside(y + STEP * ways[event.key][1])];
      this.draw();
    } else if (event.key === " ") {
      this.begin(this.at ?? [0, 0]);
      this.end();
    } else if (event.key.toLowerCase() === "z" && (event.ctrlKey || event.metaKey)) {
      this.change(() => this.strokes.pop());
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width - 0.5) * SIDE,
      (0.5 - (event.clientY - box.top) / box.height) * SIDE];
  }

  begin(at) {
    this.strokes.push([Math.round((this.size.value / SIDE) * PLACES)]);
    this.move(at);
  }

  move(to) {
    const stroke = this.strokes.at(-1);
    const far = !this.last || Math.hypot(to[0] - this.last[0], to[1] - this.last[1]) >= APART;
    if (this.total() < MOST && (stroke.length === 1 || far)) {
      stroke.push(...to.map(placed));
      this.last = to;
    }
    this.at = to;
    this.draw();
  }

  end() {
    this.drawing = false;
    this.change(() => (this.strokes = this.strokes.filter((stroke) => stroke.length > 1)));
  }

  change(what) {
    what();
    this.draw();
    this.tell(this.strokes);
  }

  total() {
    return this.strokes.reduce((sum, stroke) => sum + (stroke.length - 1) / 2, 0);
  }

  tally() {
    const count = this.strokes.length;
    this.count.textContent = `${count.toLocaleString("en")} ${count === 1 ? "stroke" : "strokes"}`
      + (this.total() >= MOST ? ": full" : "");
    this.undo.disabled = this.clear.disabled = !this.strokes.length;
  }

  draw() {
    this.tally();
    const { canvas } = this;
    const pixels = Math.round(canvas.clientWidth * devicePixelRatio);
    if (!pixels) return;
    if (canvas.width !== pixels) canvas.width = canvas.height = pixels;
    const style = getComputedStyle(canvas);
    const colour = (name) => style.getPropertyValue(`--st-${name}`);
    const pen = canvas.getContext("2d");
    const scale = pixels / SIDE;
    const [left, up] = [(x) => (x + SIDE / 2) * scale, (y) => (SIDE / 2 - y) * scale];
    pen.clearRect(0, 0, pixels, pixels);
    pen.strokeStyle = colour("border-color");
    for (let i = 1; i < SIDE; i++) {
      pen.lineWidth = i === SIDE / 2 ? 2 : 0.5;
      pen.beginPath();
      pen.moveTo(i * scale, 0);
      pen.lineTo(i * scale, pixels);
      pen.moveTo(0, i * scale);
      pen.lineTo(pixels, i * scale);
      pen.stroke();
    }
    pen.strokeStyle = colour("primary-color");
    pen.globalAlpha = 0.6;
    pen.lineCap = pen.lineJoin = "round";
    for (const [radius, ...corners] of this.strokes) {
      const place = (i) => [(corners[i] / PLACES) * pixels, (1 - corners[i + 1] / PLACES) * pixels];
      pen.lineWidth = (2 * radius / PLACES) * pixels;
      pen.beginPath();
      pen.moveTo(...place(0));
      for (let i = 0; i < corners.length; i += 2) pen.lineTo(...place(i));
      pen.stroke();
    }
    pen.globalAlpha = 1;
    if (this.at) {
      pen.strokeStyle = colour("text-color");
      pen.lineWidth = devicePixelRatio;
      pen.beginPath();
      pen.arc(left(this.at[0]), up(this.at[1]), this.size.value * scale, 0, 2 * Math.PI);
      pen.stroke();
    }
  }
}
