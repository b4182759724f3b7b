//! The Sobol sequence with the direction numbers of Joe and Kuo.
//!
//! S. Joe and F. Y. Kuo, *Constructing Sobol sequences with better two-dimensional projections*, SIAM J. Sci. Comput.
//! 30, 2635–2654 (2008); the file `new-joe-kuo-6.21201`, BSD-3-Clause: `sobol/LICENSE-JOE-KUO.txt`.

/// Most dimensions.
pub(crate) const DIMENSIONS_MAX: usize = JOE_KUO.len() + 1;

const BITS: usize = 32;

/// Of each dimension from the second on: the coefficients `a` of its primitive polynomial, and its initial `m`.
const JOE_KUO: [(u32, &[u32]); 20] = [
    (0, &[1]),
    (1, &[1, 3]),
    (1, &[1, 3, 1]),
    (2, &[1, 1, 1]),
    (1, &[1, 1, 3, 3]),
    (4, &[1, 3, 5, 13]),
    (2, &[1, 1, 5, 5, 17]),
    (4, &[1, 1, 5, 5, 5]),
    (7, &[1, 1, 7, 11, 19]),
    (11, &[1, 1, 5, 1, 1]),
    (13, &[1, 1, 1, 3, 11]),
    (14, &[1, 3, 5, 5, 31]),
    (1, &[1, 3, 3, 9, 7, 49]),
    (13, &[1, 1, 1, 15, 21, 21]),
    (16, &[1, 3, 1, 13, 27, 49]),
    (19, &[1, 1, 1, 15, 7, 5]),
    (22, &[1, 3, 1, 15, 13, 25]),
    (25, &[1, 1, 5, 5, 19, 61]),
    (1, &[1, 3, 7, 11, 23, 15, 103]),
    (4, &[1, 3, 7, 13, 13, 15, 69]),
];

/// One dimension's direction numbers.
#[derive(Debug, Clone)]
pub(crate) struct Directions([u32; BITS]);

impl Directions {
    /// Those of a dimension, from 0; from [`DIMENSIONS_MAX`] on there are none.
    pub(crate) fn of(dimension: usize) -> Option<Self> {
        let mut numbers = [0; BITS];
        let (polynomial, initial): (u32, &[u32]) = match dimension.checked_sub(1) {
            None => (0, &[]),
            Some(later) => *JOE_KUO.get(later)?,
        };
        let degree = initial.len();
        for bit in 0..BITS {
            numbers[bit] = match initial.get(bit) {
                _ if degree == 0 => 1 << (BITS - 1 - bit),
                Some(first) => first << (BITS - 1 - bit),
                None => {
                    let mut number = numbers[bit - degree] ^ (numbers[bit - degree] >> degree);
                    for back in 1..degree {
                        if polynomial >> (degree - 1 - back) & 1 == 1 {
                            number ^= numbers[bit - back];
                        }
                    }
                    number
                }
            };
        }
        Some(Self(numbers))
    }

    /// The coordinate of a point, as the bits of a binary fraction; points are in the order of Gray's code.
    pub(crate) fn at(&self, index: u32) -> u32 {
        let gray = index ^ (index >> 1);
        let chosen = self.0.iter().enumerate().filter(|(bit, _)| gray >> bit & 1 == 1);
        chosen.fold(0, |point, (_, number)| point ^ number)
    }
}

#[cfg(test)]
mod tests;
