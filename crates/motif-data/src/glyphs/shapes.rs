//! The outlines: each class has a few ways of being written.
//!
//! Coordinates: x to the right and y down, a glyph fills about −0.6..0.6 by −1..1. Angles in degrees, 0 to the
//! right, 90 down.

/// A point of a stroke.
pub(super) type Point = (f64, f64);

/// One movement of the pen.
#[derive(Clone, Copy)]
pub(super) enum Stroke {
    /// Straight from point to point.
    Line(&'static [Point]),
    /// Part of an ellipse: centre, radii, first and last angle.
    Arc(Point, Point, f64, f64),
}

use Stroke::{Arc, Line};

type Form = &'static [Stroke];

const ZERO: &[Form] = &[
    &[Arc((0.0, 0.0), (0.62, 0.97), -90.0, 275.0)],
    &[Arc((0.0, 0.0), (0.45, 0.95), -60.0, 300.0)],
    &[Arc((0.0, 0.0), (0.62, 0.95), 0.0, 360.0), Line(&[(0.35, -0.6), (-0.35, 0.6)])],
];
const ONE: &[Form] = &[
    &[Line(&[(0.0, -1.0), (0.0, 1.0)])],
    &[Line(&[(-0.4, -0.55), (0.05, -1.0), (0.05, 1.0)])],
    &[Line(&[(-0.35, -0.65), (0.0, -1.0), (0.0, 0.95)]), Line(&[(-0.45, 0.97), (0.45, 0.97)])],
];
const TWO: &[Form] = &[
    &[Arc((0.0, -0.45), (0.56, 0.53), 190.0, 385.0), Line(&[(0.5, -0.2), (-0.6, 0.97), (0.6, 0.97)])],
    &[
        Arc((0.0, -0.5), (0.5, 0.48), 200.0, 420.0),
        Line(&[(0.25, -0.08), (-0.3, 0.65)]),
        Arc((-0.3, 0.78), (0.22, 0.17), 0.0, 360.0),
        Line(&[(-0.1, 0.8), (0.3, 0.97), (0.6, 0.8)]),
    ],
];
const THREE: &[Form] = &[
    &[Arc((0.0, -0.5), (0.5, 0.48), 200.0, 445.0), Arc((0.0, 0.47), (0.58, 0.5), -85.0, 155.0)],
    &[Line(&[(-0.5, -0.97), (0.5, -0.97), (-0.05, -0.15)]), Arc((0.0, 0.4), (0.58, 0.57), -95.0, 150.0)],
];
const FOUR: &[Form] = &[
    &[Line(&[(-0.45, -0.95), (-0.55, 0.2), (0.62, 0.2)]), Line(&[(0.3, -0.6), (0.3, 1.0)])],
    &[Line(&[(0.3, 1.0), (0.3, -1.0), (-0.62, 0.35), (0.65, 0.35)])],
    &[Arc((0.0, -0.75), (0.5, 0.85), 180.0, 60.0), Line(&[(0.48, -0.95), (0.4, 1.0)])],
];
const FIVE: &[Form] = &[
    &[Line(&[(0.52, -0.97), (-0.4, -0.97), (-0.48, -0.05)]), Arc((-0.02, 0.4), (0.58, 0.57), 220.0, 510.0)],
    &[
        Line(&[(-0.35, -0.95), (-0.35, -0.15)]),
        Line(&[(-0.35, -0.95), (0.5, -1.0)]),
        Arc((-0.1, 0.4), (0.6, 0.55), 245.0, 475.0),
    ],
];
const SIX: &[Form] = &[
    &[Arc((0.55, 0.35), (1.1, 1.35), 270.0, 180.0), Arc((0.0, 0.42), (0.56, 0.54), 0.0, 360.0)],
    &[Line(&[(0.15, -1.0), (-0.5, 0.3)]), Arc((0.0, 0.45), (0.53, 0.52), 0.0, 360.0)],
];
const SEVEN: &[Form] = &[
    &[Line(&[(-0.58, -0.97), (0.58, -0.97), (-0.15, 1.0)])],
    &[Line(&[(-0.58, -0.95), (0.55, -0.95), (-0.05, 1.0)]), Line(&[(-0.35, 0.05), (0.5, 0.0)])],
    &[Line(&[(-0.55, -0.6), (-0.5, -0.97), (0.5, -0.97), (0.3, 0.1), (0.25, 1.0)])],
];
const EIGHT: &[Form] = &[
    &[Arc((0.0, -0.5), (0.45, 0.47), 90.0, 450.0), Arc((0.0, 0.48), (0.57, 0.51), -90.0, 270.0)],
    &[
        Arc((0.0, -0.58), (0.45, 0.4), 160.0, 380.0),
        Line(&[(-0.43, -0.45), (0.45, 0.4)]),
        Arc((0.0, 0.5), (0.5, 0.46), -20.0, 200.0),
        Line(&[(-0.47, 0.35), (0.43, -0.45)]),
    ],
];
const NINE: &[Form] = &[
    &[Arc((0.0, -0.43), (0.53, 0.54), 0.0, 360.0), Line(&[(0.53, -0.45), (0.45, 1.0)])],
    &[Arc((-0.02, -0.42), (0.54, 0.53), 0.0, 360.0), Arc((-0.5, -0.35), (1.03, 1.33), 0.0, 85.0)],
];

/// The ways of writing each class.
pub(super) const CLASSES: [&[Form]; 10] = [ZERO, ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT, NINE];

/// Longest step along an arc, degrees.
const ARC_STEP_DEGREES: f64 = 24.0;
/// Pieces of one straight line: it must be able to bend.
const LINE_PIECES: u32 = 4;

impl Stroke {
    /// The stroke as a chain of points, close enough to be bent.
    pub(super) fn points(self) -> Vec<Point> {
        match self {
            Line(corners) => {
                let mut points = vec![corners[0]];
                for pair in corners.windows(2) {
                    let ((x0, y0), (x1, y1)) = (pair[0], pair[1]);
                    points.extend((1..=LINE_PIECES).map(|piece| {
                        let part = f64::from(piece) / f64::from(LINE_PIECES);
                        (x0 + (x1 - x0) * part, y0 + (y1 - y0) * part)
                    }));
                }
                points
            }
            Arc(centre, radii, from, to) => {
                let mut pieces = 1_u32;
                while libm::fabs(to - from) > ARC_STEP_DEGREES * f64::from(pieces) {
                    pieces += 1;
                }
                let at = |piece: u32| {
                    let degrees = from + (to - from) * f64::from(piece) / f64::from(pieces);
                    let angle = degrees * core::f64::consts::PI / 180.0;
                    (centre.0 + radii.0 * libm::cos(angle), centre.1 + radii.1 * libm::sin(angle))
                };
                (0..=pieces).map(at).collect()
            }
        }
    }
}
