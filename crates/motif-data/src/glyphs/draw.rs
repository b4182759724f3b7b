//! One example: a form of its class, bent, placed, inked and dirtied at random.

use super::shapes::{CLASSES, Point};
use super::{Chance, GLYPHS_SIDE_PIXELS};

const SIDE: usize = GLYPHS_SIDE_PIXELS;
/// Pixels from the middle of a glyph to its top, before scaling.
const HALF_HEIGHT_PIXELS: f64 = 9.5;

// Strong enough that no linear map can undo them (a linear network stays near 84 %), weak enough that a small
// network learns them from 10,000 examples (backprop reaches 97 %). Each value is part of the content hash.
const MAX_ROTATION_RADIANS: f64 = 0.24;
const MAX_SHEAR: f64 = 0.24;
/// Smallest and largest size, drawn for width and height apart.
const SCALE: (f64, f64) = (0.78, 1.1);
const MAX_SHIFT_PIXELS: f64 = 2.4;
/// How far a stroke may be off its place, in glyph units.
const MAX_STROKE_SHIFT: f64 = 0.07;
/// Amplitude of the bend, in glyph units.
const MAX_BEND: f64 = 0.1;
/// Angular frequency of the bend per glyph unit.
const BEND_FREQUENCY: (f64, f64) = (1.0, 3.5);
/// Half the pen's width.
const RADIUS_PIXELS: (f64, f64) = (1.0, 1.8);
/// Grey of a covered pixel, of 255.
const INK: (f64, f64) = (130.0, 255.0);
/// Standard deviation of a pixel's grey.
const NOISE: (f64, f64) = (4.0, 16.0);
/// One example in this many has a hole in its ink.
const GAP_ONE_IN: usize = 8;
const GAP_RADIUS_PIXELS: (f64, f64) = (1.5, 3.0);
/// One example in this many has a stray stroke.
const STRAY_ONE_IN: usize = 8;
/// Longest stray stroke, in each direction.
const STRAY_REACH_PIXELS: f64 = 6.0;

/// A sum of waves that moves points a little and neighbours alike.
struct Bend {
    waves: [Wave; 2],
}

struct Wave {
    direction: Point,
    phase: f64,
    push: Point,
}

impl Bend {
    fn new(chance: &mut Chance) -> Self {
        let mut wave = || {
            let angle = chance.around(core::f64::consts::PI);
            let frequency = chance.between(BEND_FREQUENCY.0, BEND_FREQUENCY.1);
            Wave {
                direction: (frequency * libm::cos(angle), frequency * libm::sin(angle)),
                phase: chance.around(core::f64::consts::PI),
                push: (chance.around(MAX_BEND), chance.around(MAX_BEND)),
            }
        };
        Self { waves: [wave(), wave()] }
    }

    fn apply(&self, (x, y): Point) -> Point {
        let mut moved = (x, y);
        for wave in &self.waves {
            let height = libm::sin(wave.direction.0 * x + wave.direction.1 * y + wave.phase);
            moved.0 += wave.push.0 * height;
            moved.1 += wave.push.1 * height;
        }
        moved
    }
}

/// Glyph units to pixels.
struct Placement {
    rows: [[f64; 2]; 2],
    shift: Point,
}

impl Placement {
    fn new(chance: &mut Chance) -> Self {
        let turn = chance.around(MAX_ROTATION_RADIANS);
        let shear = chance.around(MAX_SHEAR);
        let wide = HALF_HEIGHT_PIXELS * chance.between(SCALE.0, SCALE.1);
        let high = HALF_HEIGHT_PIXELS * chance.between(SCALE.0, SCALE.1);
        let (sin, cos) = (libm::sin(turn), libm::cos(turn));
        let middle = (SIDE as f64 - 1.0) / 2.0;
        Self {
            rows: [[cos * wide, (cos * shear - sin) * high], [sin * wide, (sin * shear + cos) * high]],
            shift: (middle + chance.around(MAX_SHIFT_PIXELS), middle + chance.around(MAX_SHIFT_PIXELS)),
        }
    }

    fn apply(&self, (x, y): Point) -> Point {
        let [[a, b], [c, d]] = self.rows;
        (a * x + b * y + self.shift.0, c * x + d * y + self.shift.1)
    }
}

/// Squared distance of every pixel's middle to the nearest stroke.
struct Canvas {
    squared: [f64; SIDE * SIDE],
    reach: f64,
}

impl Canvas {
    /// Distances beyond `reach` pixels are not looked at.
    fn new(reach: f64) -> Self {
        Self { squared: [f64::INFINITY; SIDE * SIDE], reach }
    }

    fn chain(&mut self, points: &[Point]) {
        for pair in points.windows(2) {
            self.segment(pair[0], pair[1]);
        }
    }

    fn segment(&mut self, from: Point, to: Point) {
        let along = (to.0 - from.0, to.1 - from.1);
        let length = along.0 * along.0 + along.1 * along.1;
        for row in self.span(from.1, to.1) {
            for column in self.span(from.0, to.0) {
                let off = (column as f64 - from.0, row as f64 - from.1);
                let part = if length > 0.0 { (off.0 * along.0 + off.1 * along.1) / length } else { 0.0 };
                let part = part.clamp(0.0, 1.0);
                let (dx, dy) = (off.0 - part * along.0, off.1 - part * along.1);
                let nearest = &mut self.squared[row * SIDE + column];
                *nearest = nearest.min(dx * dx + dy * dy);
            }
        }
    }

    /// Rows or columns within reach of a segment's two ends.
    fn span(&self, a: f64, b: f64) -> core::ops::Range<usize> {
        let edge = |at: f64| at.clamp(0.0, SIDE as f64) as usize;
        edge(libm::floor(a.min(b) - self.reach))..edge(libm::ceil(a.max(b) + self.reach) + 1.0)
    }
}

/// Appends the pixels of one example of `class`.
pub(super) fn glyph(class: usize, chance: &mut Chance, pixels: &mut Vec<u8>) {
    let forms = CLASSES[class];
    let form = forms[chance.below(forms.len())];
    let bend = Bend::new(chance);
    let placement = Placement::new(chance);
    let radius = chance.between(RADIUS_PIXELS.0, RADIUS_PIXELS.1);
    let mut canvas = Canvas::new(radius + 1.0);
    for stroke in form {
        let off = (chance.around(MAX_STROKE_SHIFT), chance.around(MAX_STROKE_SHIFT));
        let points: Vec<Point> = stroke
            .points()
            .into_iter()
            .map(|(x, y)| placement.apply(bend.apply((x + off.0, y + off.1))))
            .collect();
        canvas.chain(&points);
    }
    if chance.below(STRAY_ONE_IN) == 0 {
        stray(&mut canvas, chance);
    }
    let gap = (chance.below(GAP_ONE_IN) == 0).then(|| Gap::new(chance));
    let ink = chance.between(INK.0, INK.1);
    let noise = chance.between(NOISE.0, NOISE.1);
    for (index, squared) in canvas.squared.iter().enumerate() {
        let cover = (radius + 0.5 - libm::sqrt(*squared)).clamp(0.0, 1.0);
        let kept = gap.as_ref().map_or(1.0, |gap| gap.keeps(index));
        let grey = ink * cover * kept + noise * chance.bell();
        pixels.push(grey.clamp(0.0, 255.0) as u8);
    }
}

/// A short stroke that belongs to nothing.
fn stray(canvas: &mut Canvas, chance: &mut Chance) {
    let from = (chance.between(0.0, SIDE as f64), chance.between(0.0, SIDE as f64));
    let to = (from.0 + chance.around(STRAY_REACH_PIXELS), from.1 + chance.around(STRAY_REACH_PIXELS));
    canvas.segment(from, to);
}

/// A round hole in the ink.
struct Gap {
    middle: Point,
    radius: f64,
}

impl Gap {
    fn new(chance: &mut Chance) -> Self {
        let middle = (chance.between(6.0, 22.0), chance.between(6.0, 22.0));
        Self { middle, radius: chance.between(GAP_RADIUS_PIXELS.0, GAP_RADIUS_PIXELS.1) }
    }

    /// How much of the ink stays at a pixel, 0 to 1.
    fn keeps(&self, index: usize) -> f64 {
        let (dx, dy) = ((index % SIDE) as f64 - self.middle.0, (index / SIDE) as f64 - self.middle.1);
        (libm::sqrt(dx * dx + dy * dy) - self.radius + 0.5).clamp(0.0, 1.0)
    }
}
