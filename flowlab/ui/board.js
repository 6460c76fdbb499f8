// A drawing board: strokes leave dots, which Python turns into points of the plane.
// A stroke is a flat list x, y, x, y, … of places from 0 to PLACES - 1, the lower left first.

const PLACES = 65536;
const SIDE = 8; // length of a side in the plane
const MOST = 20000; // dots on the board
const PER_LENGTH = 70; // dots for each unit of length that the brush goes
const DAB = 12; // dots where it only touches
const STEP = 0.2; // what an arrow key moves, in units of the plane

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
      this.strokes.push([]);
      this.move(this.place(event));
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
      this.strokes.push([]);
      const place = this.at ?? [0, 0];
      this.at = null;
      this.move(place);
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

  // Let dots fall along the way from where the brush was; the first touch of a stroke is a dab.
  move(to) {
    const stroke = this.strokes.at(-1);
    const from = stroke.length && this.at ? this.at : to;
    const way = Math.hypot(to[0] - from[0], to[1] - from[1]);
    this.owed = stroke.length ? this.owed + way * PER_LENGTH : DAB;
    for (; this.owed >= 1; this.owed--) {
      const share = Math.random();
      const angle = 2 * Math.PI * Math.random();
      const radius = this.size.value * Math.sqrt(Math.random());
      this.dot(stroke, from[0] + share * (to[0] - from[0]) + radius * Math.cos(angle),
        from[1] + share * (to[1] - from[1]) + radius * Math.sin(angle));
    }
    this.at = to;
    this.draw();
  }

  dot(stroke, x, y) {
    const places = [x, y].map((v) => Math.floor((v / SIDE + 0.5) * PLACES));
    if (this.total() < MOST && places.every((v) => v >= 0 && v < PLACES)) stroke.push(...places);
  }

  end() {
    this.drawing = false;
    this.change(() => (this.strokes = this.strokes.filter((stroke) => stroke.length)));
  }

  change(what) {
    what();
    this.draw();
    this.tell(this.strokes);
  }

  total() {
    return this.strokes.reduce((sum, stroke) => sum + stroke.length / 2, 0);
  }

  tally() {
    const total = this.total();
    this.count.textContent = `${total.toLocaleString("en")} ${total === 1 ? "dot" : "dots"}`
      + (total >= MOST ? ": full" : "");
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
    pen.fillStyle = colour("primary-color");
    const dot = Math.max(2, pixels / 220);
    for (const stroke of this.strokes) {
      for (let i = 0; i < stroke.length; i += 2) {
        pen.fillRect((stroke[i] / PLACES) * pixels - dot / 2,
          (1 - stroke[i + 1] / PLACES) * pixels - dot / 2, dot, dot);
      }
    }
    if (this.at) {
      pen.strokeStyle = colour("text-color");
      pen.lineWidth = devicePixelRatio;
      pen.beginPath();
      pen.arc(left(this.at[0]), up(this.at[1]), this.size.value * scale, 0, 2 * Math.PI);
      pen.stroke();
    }
  }
}
