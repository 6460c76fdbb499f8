"use strict";
// The mathematics of a flow in the plane, as in Python. Points are two columns, [first, second],
// each a Float64Array; a layer maps them and gives the log-determinant of every point.

// Activations of the networks.
const ACTIVATIONS = {
  relu: (h) => (h > 0 ? h : 0),
  leaky_relu: (h) => (h > 0 ? h : 0.01 * h),
  elu: (h) => (h > 0 ? h : Math.expm1(h)),
  tanh: Math.tanh,
};

// Base distributions: the log-density of one coordinate, and a draw of it.
const BASES = {
  normal: {
    logProb: (z) => -0.5 * (z * z + Math.log(2 * Math.PI)),
    draw: () => Math.sqrt(-2 * Math.log(1 - Math.random())) * Math.cos(2 * Math.PI * Math.random()),
  },
  logistic: {
    logProb: (z) => -Math.abs(z) - 2 * Math.log1p(Math.exp(-Math.abs(z))),
    draw: () => {
      const u = Math.min(Math.max(Math.random(), 1e-7), 1 - 1e-7);
      return Math.log(u / (1 - u));
    },
  },
};

// Inner maps of couplings: a value and its parameters become the mapped value and the logarithm of
// the derivative.
const INNER = {
  // NICE: x = z + t
  shift: () => ({
    forward: (z, [t]) => [z + t, 0],
    inverse: (x, [t]) => [x - t, 0],
  }),
  // RealNVP and Glow: x = z exp(s) + t, with s = c tanh(ŝ / c)
  affine: ({ bound }) => {
    const scale = (raw) => bound * Math.tanh(raw / bound);
    return {
      forward: (z, [raw, t]) => [z * Math.exp(scale(raw)) + t, scale(raw)],
      inverse: (x, [raw, t]) => [(x - t) * Math.exp(-scale(raw)), -scale(raw)],
    };
  },
  // Neural spline flows: a rational-quadratic spline within the bound, and the identity outside.
  rational_quadratic: ({ bins, bound }) => {
    const piece = (value, parameters, column) => {
      const places = [0, 1].map((k) => knots(parameters.slice(k * bins, (k + 1) * bins), bound));
      const slopes = [1, ...parameters.slice(2 * bins).map(slopeOf), 1];
      let k = 0;
      while (k < bins - 1 && value >= places[column][k + 1]) k += 1;
      const [[left, right], [bottom, top]] = places.map((place) => place.slice(k, k + 2));
      const [width, height] = [right - left, top - bottom];
      return { left, width, bottom, height, first: slopes[k], last: slopes[k + 1],
        slope: height / width };
    };
    return {
      forward: (z, parameters) => {
        if (Math.abs(z) > bound) return [z, 0];
        const p = piece(z, parameters, 0);
        const xi = (z - p.left) / p.width;
        const rest = xi * (1 - xi);
        const x = p.bottom + (p.height * (p.slope * xi * xi + p.first * rest))
          / (p.slope + (p.last + p.first - 2 * p.slope) * rest);
        return [x, logSlope(p, xi)];
      },
      inverse: (x, parameters) => {
        if (Math.abs(x) > bound) return [x, 0];
        const p = piece(x, parameters, 1);
        const rise = x - p.bottom;
        const bend = rise * (p.last + p.first - 2 * p.slope);
        const a = p.height * (p.slope - p.first) + bend;
        const b = p.height * p.first - bend;
        const root = Math.sqrt(Math.max(b * b + 4 * a * p.slope * rise, 0));
        const xi = b > 0 ? (2 * p.slope * rise) / (b + root) : (root - b) / (2 * a);
        return [p.left + p.width * xi, -logSlope(p, xi)];
      },
    };
  },
};

// Of a spline: its knots from bound to bound, a slope at a knot, and the logarithm of the slope.
const LEAST = 1e-3;

function knots(raw, bound) {
  const highest = Math.max(...raw);
  const shares = raw.map((value) => Math.exp(value - highest));
  const sum = shares.reduce((a, b) => a + b);
  let at = 0;
  const inner = shares.slice(0, -1).map((share) => {
    at += LEAST + ((1 - LEAST * raw.length) * share) / sum;
    return bound * (2 * at - 1);
  });
  return [-bound, ...inner, bound];
}

function slopeOf(raw) {
  const value = raw + Math.log(Math.expm1(1 - LEAST));
  return LEAST + Math.max(value, 0) + Math.log1p(Math.exp(-Math.abs(value)));
}

function logSlope({ slope, first, last }, xi) {
  const rest = xi * (1 - xi);
  return 2 * Math.log(slope) + Math.log(last * xi * xi + 2 * slope * rest + first * (1 - xi) ** 2)
    - 2 * Math.log(slope + (last + first - 2 * slope) * rest);
}

// A multilayer perceptron on columns of n inputs; its weights are rows (W b) in `weights`.
function perceptron(inputs, widths, activation, weights, n) {
  let h = inputs;
  let at = 0;
  for (let k = 1; k < widths.length; k += 1) {
    const out = [];
    const count = widths[k - 1];
    for (let i = 0; i < widths[k]; i += 1) {
      const row = new Float64Array(n).fill(weights[at + count]);
      let m = 0;
      for (; m + 4 <= count; m += 4) { // fewer passes over the row
        const [w0, w1, w2, w3] = weights.subarray(at + m, at + m + 4);
        const [h0, h1, h2, h3] = h.slice(m, m + 4);
        for (let j = 0; j < n; j += 1) row[j] += w0 * h0[j] + w1 * h1[j] + w2 * h2[j] + w3 * h3[j];
      }
      for (; m < count; m += 1) {
        for (let j = 0; j < n; j += 1) row[j] += weights[at + m] * h[m][j];
      }
      if (k < widths.length - 1) {
        for (let j = 0; j < n; j += 1) row[j] = activation(row[j]);
      }
      out.push(row);
      at += count + 1;
    }
    h = out;
  }
  return h;
}

// x = A z + b, with the same log-determinant everywhere.
class AffineLayer {
  constructor(name, [a, b, c, d, first, second]) {
    Object.assign(this, { name, a, b, c, d, shift: [first, second] });
    this.determinant = a * d - b * c;
  }

  apply([u, v], classes, inverse) {
    const { a, b, c, d, determinant, shift: [first, second] } = this;
    const map = inverse
      ? [(p, q) => (d * (p - first) - b * (q - second)) / determinant,
        (p, q) => (a * (q - second) - c * (p - first)) / determinant]
      : [(p, q) => a * p + b * q + first, (p, q) => c * p + d * q + second];
    const logDet = Math.log(Math.abs(determinant)) * (inverse ? -1 : 1);
    return {
      points: map.map((each) => u.map((p, j) => each(p, v[j]))),
      logDet: new Float64Array(u.length).fill(logDet),
    };
  }
}

// One coordinate is kept, and conditions the map of the other.
class CouplingLayer {
  constructor({ name, kept, inner, activation, widths, ...settings }, weights) {
    Object.assign(this, { name, kept, widths, weights });
    this.activation = ACTIVATIONS[activation];
    this.inner = INNER[inner](settings);
  }

  // The parameters of the inner map, a column each.
  conditions(kept, classes) {
    const oneHot = Array.from({ length: this.widths[0] - 1 }, (_, label) =>
      new Float64Array(kept.length).fill(label === classes ? 1 : 0));
    return perceptron([kept, ...oneHot], this.widths, this.activation, this.weights, kept.length);
  }

  apply(points, classes, inverse) {
    const kept = points[this.kept];
    const changing = points[1 - this.kept];
    const columns = this.conditions(kept, classes);
    const map = inverse ? this.inner.inverse : this.inner.forward;
    const changed = new Float64Array(kept.length);
    const logDet = new Float64Array(kept.length);
    for (let j = 0; j < kept.length; j += 1) {
      [changed[j], logDet[j]] = map(changing[j], columns.map((column) => column[j]));
    }
    return { points: this.kept === 0 ? [kept, changed] : [changed, kept], logDet };
  }
}

// A flow: its base distribution, then its layers in generative order.
class Flow {
  // `description` names the layers; `affine` and `networks` hold their numbers, layer after layer.
  constructor(description, affine, networks) {
    this.base = BASES[description.base];
    let at = 0;
    let row = 0;
    this.layers = description.layers.map((layer) => {
      if (!layer.widths) return new AffineLayer(layer.name, affine.subarray(row, (row += 6)));
      const { widths } = layer;
      const size = widths.slice(1).reduce((sum, out, k) => sum + out * (widths[k] + 1), 0);
      return new CouplingLayer(layer, networks.subarray(at, (at += size)));
    });
  }

  // The layers one by one, from latent to data or back, with the points after each.
  * steps(points, classes, inverse = false) {
    const layers = inverse ? [...this.layers].reverse() : this.layers;
    for (const layer of layers) {
      const step = layer.apply(points, classes, inverse);
      points = step.points;
      yield { layer, ...step };
    }
  }

  // All points, mapped, and the sum of the log-determinants.
  apply(points, classes, inverse) {
    const logDet = new Float64Array(points[0].length);
    for (const step of this.steps(points, classes, inverse)) {
      points = step.points;
      step.logDet.forEach((value, j) => { logDet[j] += value; });
    }
    return { points, logDet };
  }

  forward(z, classes) { return this.apply(z, classes, false); }

  inverse(x, classes) { return this.apply(x, classes, true); }

  // log p(x) = log p(z) + log |det ∂z/∂x|
  logProb(x, classes) {
    const { points: [first, second], logDet } = this.inverse(x, classes);
    return logDet.map((value, j) =>
      value + this.base.logProb(first[j]) + this.base.logProb(second[j]));
  }

  // Latent points.
  draw(n) {
    return [0, 1].map(() => Float64Array.from({ length: n }, this.base.draw));
  }
}

// Numbers that were written in base 85, five digits for four bytes, in float64, float32 or float16.
const DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;,=>?@^_`{|}~";
const VALUES = Object.fromEntries(Array.from(DIGITS, (digit, value) => [digit, value]));

function decode(text, type) {
  const bytes = new DataView(new ArrayBuffer((text.length / 5) * 4));
  for (let i = 0; i < text.length / 5; i += 1) {
    let word = 0;
    for (let k = 0; k < 5; k += 1) word = word * 85 + VALUES[text[5 * i + k]];
    bytes.setUint32(4 * i, word);
  }
  if (type === "float64") return new Float64Array(bytes.buffer);
  if (type === "float32") return Float64Array.from(new Float32Array(bytes.buffer));
  return Float64Array.from(new Uint16Array(bytes.buffer), (bits) => {
    const sign = bits >> 15 ? -1 : 1;
    const exponent = (bits >> 10) & 31;
    const fraction = (bits & 1023) / 1024;
    return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction) : 2 ** -14 * fraction);
  });
}

// The flow at a moment of its training; the last one is the trained flow.
function flowAt(content, moment) {
  const { affine, networks, type } = content.moments[moment];
  return new Flow(content, decode(affine, "float64"), decode(networks, type));
}
