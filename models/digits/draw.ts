/**
 * Draws handwritten-looking digits the way MNIST shows them: white on black, 28 x 28, inside a 20 x 20 box, centred by
 * mass, pen about two pixels wide. Pure: the same random sequence draws the same image. These are the example inputs of
 * `digits`, because the images of MNIST itself are not ours to ship.
 */
export const side = 28;

type Point = readonly [x: number, y: number];
type Stroke = readonly Point[];
type Shape = readonly Stroke[];

const box = 20;

/** An elliptic arc as a polyline; degrees, clockwise on the screen from "three o'clock" (y points down). */
function arc(x: number, y: number, radiusX: number, radiusY: number, from: number, to: number): Stroke {
  const steps = Math.max(4, Math.ceil(Math.abs(to - from) / 15));
  return Array.from({ length: steps + 1 }, (_, step): Point => {
    const angle = ((from + ((to - from) * step) / steps) * Math.PI) / 180;
    return [x + radiusX * Math.cos(angle), y + radiusY * Math.sin(angle)];
  });
}

/** A polyline, written "x,y x,y ...". */
function line(points: string): Stroke {
  return points.split(" ").map((point): Point => {
    const [x = 0, y = 0] = point.split(",").map(Number);
    return [x, y];
  });
}

/** A quadratic curve as a polyline: "start control end". */
function curve(points: string): Stroke {
  const [from = [0, 0], control = from, to = control] = line(points);
  return Array.from({ length: 9 }, (_, step): Point => {
    const t = step / 8;
    const mix = (axis: 0 | 1) => from[axis] * (1 - t) ** 2 + 2 * control[axis] * t * (1 - t) + to[axis] * t ** 2;
    return [mix(0), mix(1)];
  });
}

/** Each digit in a unit square, in one or more ways of writing it. */
const shapes: readonly (readonly Shape[])[] = [
  [[arc(0.5, 0.5, 0.36, 0.5, -80, 280)], [arc(0.5, 0.5, 0.44, 0.5, -100, 260)]],
  [[line("0.5,0 0.5,1")], [line("0.28,0.2 0.52,0 0.52,1")]],
  [
    [[...arc(0.48, 0.29, 0.42, 0.29, -165, 40), ...line("0.05,0.98 0.95,0.96")]],
    [[...arc(0.5, 0.28, 0.38, 0.28, -170, 50), ...line("0.08,1 0.5,0.93 0.92,1")]],
  ],
  [
    [[...arc(0.42, 0.25, 0.4, 0.25, -150, 80), ...arc(0.42, 0.74, 0.46, 0.26, -80, 150)]],
    [[...line("0.12,0.02 0.85,0.02 0.42,0.42"), ...arc(0.42, 0.7, 0.42, 0.29, -70, 150)]],
  ],
  [
    [line("0.22,0.02 0.06,0.56 0.92,0.54"), line("0.74,0.1 0.68,1")],
    [line("0.66,0 0.04,0.64 0.96,0.64"), line("0.68,0.06 0.66,1")],
  ],
  [
    [[...line("0.9,0.02 0.26,0.04 0.16,0.46"), ...arc(0.42, 0.69, 0.44, 0.3, -110, 150)]],
    [[...line("0.22,0.04 0.16,0.44"), ...arc(0.44, 0.68, 0.42, 0.31, -115, 145)], line("0.22,0.04 0.92,0")],
  ],
  [
    [[...curve("0.72,0 0.1,0.24 0.1,0.7"), ...arc(0.47, 0.72, 0.37, 0.27, 180, -170)]],
    [[...curve("0.5,0 0.12,0.4 0.14,0.74"), ...arc(0.46, 0.75, 0.32, 0.24, 180, -165)]],
  ],
  [
    [[...line("0.06,0.06 0.92,0.04"), ...curve("0.92,0.04 0.56,0.5 0.4,1")]],
    [line("0.06,0.04 0.9,0.04 0.42,1"), line("0.38,0.52 0.84,0.5")],
  ],
  [
    [[...arc(0.5, 0.24, 0.32, 0.24, 90, 450), ...arc(0.5, 0.74, 0.38, 0.26, -90, 270)]],
    [
      [
        ...curve("0.8,0.12 0.5,-0.12 0.24,0.14"),
        ...curve("0.24,0.14 0.1,0.36 0.5,0.5"),
        ...curve("0.5,0.5 0.94,0.66 0.76,0.88"),
        ...curve("0.76,0.88 0.5,1.12 0.24,0.86"),
        ...curve("0.24,0.86 0.14,0.66 0.5,0.5"),
        ...curve("0.5,0.5 0.86,0.36 0.8,0.12"),
      ],
    ],
  ],
  [
    [[...arc(0.48, 0.28, 0.36, 0.27, 10, -350), ...curve("0.84,0.3 0.84,0.7 0.66,1")]],
    [[...arc(0.46, 0.27, 0.34, 0.26, -20, -340), ...line("0.82,0.2 0.78,1")]],
  ],
];

/** The shape slanted, turned, stretched and wobbled a little, then fitted into the box. */
function handwrite(shape: Shape, pen: number, random: () => number): Shape {
  const within = (reach: number) => (random() * 2 - 1) * reach;
  const slant = 0.1 + within(0.2);
  const turn = within(0.12);
  const width = 0.72 + within(0.12);
  const wave = 0.012 + random() * 0.018;
  const [phaseX, phaseY] = [random() * 2 * Math.PI, random() * 2 * Math.PI];
  const [cos, sin] = [Math.cos(turn), Math.sin(turn)];
  const moved = shape.map((stroke) =>
    subdivide(stroke).map(([x, y]): Point => {
      const flatX = (x - 0.5 + slant * (0.5 - y)) * width + wave * Math.sin(phaseX + 7 * y);
      const flatY = y - 0.5 + wave * Math.sin(phaseY + 7 * x);
      return [flatX * cos - flatY * sin, flatX * sin + flatY * cos];
    }),
  );
  const xs = moved.flat().map(([x]) => x);
  const ys = moved.flat().map(([, y]) => y);
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const size = (box - pen) * (0.92 + random() * 0.08);
  const scale = size / Math.max(right - left, bottom - top);
  return moved.map((stroke) =>
    stroke.map(([x, y]): Point => [(x - (left + right) / 2) * scale, (y - (top + bottom) / 2) * scale]),
  );
}

/** Straight pieces cut into short ones, so that wobble bends them too. */
function subdivide(stroke: Stroke): Stroke {
  return stroke.flatMap((point, index): Point[] => {
    const next = stroke[index + 1];
    if (!next) return [point];
    const parts = Math.max(1, Math.ceil(Math.hypot(next[0] - point[0], next[1] - point[1]) / 0.1));
    return Array.from({ length: parts }, (_, part): Point => {
      const t = part / parts;
      return [point[0] + (next[0] - point[0]) * t, point[1] + (next[1] - point[1]) * t];
    });
  });
}

function distance(x: number, y: number, [ax, ay]: Point, [bx, by]: Point): number {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const t = length === 0 ? 0 : Math.min(1, Math.max(0, ((x - ax) * dx + (y - ay) * dy) / length));
  return Math.hypot(x - ax - t * dx, y - ay - t * dy);
}

/** Anti-aliased: a pixel is as bright as the part of the pen's edge that covers it. */
function render(shape: Shape, pen: number, offsetX: number, offsetY: number): Float32Array {
  const image = new Float32Array(side * side);
  const reach = pen / 2 + 0.5;
  const clamp = (pixel: number) => Math.min(side - 1, Math.max(0, Math.floor(pixel)));
  for (const stroke of shape) {
    stroke.slice(1).forEach((end, index) => {
      const start = stroke[index] ?? end;
      const columns = [
        clamp(Math.min(start[0], end[0]) + offsetX - reach),
        clamp(Math.max(start[0], end[0]) + offsetX + reach),
      ] as const;
      const rows = [
        clamp(Math.min(start[1], end[1]) + offsetY - reach),
        clamp(Math.max(start[1], end[1]) + offsetY + reach),
      ] as const;
      for (let row = rows[0]; row <= rows[1]; row++) {
        for (let column = columns[0]; column <= columns[1]; column++) {
          const gap = distance(column + 0.5 - offsetX, row + 0.5 - offsetY, start, end);
          const at = row * side + column;
          image[at] = Math.max(image[at] ?? 0, Math.min(1, Math.max(0, reach - gap)));
        }
      }
    });
  }
  return image;
}

function centreOfMass(image: Float32Array): Point {
  let [sum, sumX, sumY] = [0, 0, 0];
  image.forEach((light, at) => {
    sum += light;
    sumX += light * ((at % side) + 0.5);
    sumY += light * (Math.floor(at / side) + 0.5);
  });
  return [sumX / sum, sumY / sum];
}

/** One digit, 0 to 9, as 784 pixels from 0 (black) to 1 (white), row by row. `random` gives numbers in [0, 1). */
export function drawDigit(digit: number, random: () => number): Float32Array {
  const ways = shapes[digit];
  if (!ways) throw new RangeError(`a digit is an integer from 0 to 9, not ${digit}`);
  const shape = ways[Math.floor(random() * ways.length)] ?? [];
  const pen = 1.8 + random() * 0.9;
  const written = handwrite(shape, pen, random);
  const middle = side / 2;
  const [x, y] = centreOfMass(render(written, pen, middle, middle));
  const shift = () => (random() - 0.5) * 1.5;
  return render(written, pen, 2 * middle - x + shift(), 2 * middle - y + shift());
}
