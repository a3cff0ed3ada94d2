//! The decay function of an episode: how its strength fades with time.

use super::bincode_reader::{Cursor, DecodeError, DecodeProblem, put};

/// A decay function with its parameters (docs/source-engram.md, "Decay function"). Floating-point parameters are bit
/// patterns of f32, any of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DecayFunction {
    /// Variant 0.
    Exponential {
        /// Time constant in hours, as bits.
        tau_hours_bits: u32,
    },
    /// Variant 1.
    PowerLaw {
        /// Exponent, as bits.
        beta_bits: u32,
    },
    /// Variant 2.
    TwoComponent {
        /// Recalls after which the slow component applies.
        consolidation_threshold: u64,
    },
    /// Variant 3.
    Hybrid {
        /// Time constant of the early phase, as bits.
        short_term_tau_bits: u32,
        /// Exponent of the late phase, as bits.
        long_term_beta_bits: u32,
        /// Where the phases meet, in seconds.
        transition_point: u64,
    },
}

impl DecayFunction {
    /// Reads an optional decay function.
    #[inline]
    pub fn parse_option(cursor: &mut Cursor<'_>) -> Result<Option<Self>, DecodeError> {
        if !cursor.option()? {
            return Ok(None);
        }
        let at = cursor.position();
        Ok(Some(match cursor.u32()? {
            0 => Self::Exponential { tau_hours_bits: cursor.u32()? },
            1 => Self::PowerLaw { beta_bits: cursor.u32()? },
            2 => Self::TwoComponent { consolidation_threshold: cursor.u64()? },
            3 => Self::Hybrid {
                short_term_tau_bits: cursor.u32()?,
                long_term_beta_bits: cursor.u32()?,
                transition_point: cursor.u64()?,
            },
            other => return Err(Cursor::error(at, DecodeProblem::Variant(other))),
        }))
    }

    /// Appends variant and parameters.
    pub fn encode_into(&self, out: &mut Vec<u8>) {
        match *self {
            Self::Exponential { tau_hours_bits } => {
                put::u32(out, 0);
                put::u32(out, tau_hours_bits);
            }
            Self::PowerLaw { beta_bits } => {
                put::u32(out, 1);
                put::u32(out, beta_bits);
            }
            Self::TwoComponent { consolidation_threshold } => {
                put::u32(out, 2);
                put::u64(out, consolidation_threshold);
            }
            Self::Hybrid { short_term_tau_bits, long_term_beta_bits, transition_point } => {
                put::u32(out, 3);
                put::u32(out, short_term_tau_bits);
                put::u32(out, long_term_beta_bits);
                put::u64(out, transition_point);
            }
        }
    }
}
