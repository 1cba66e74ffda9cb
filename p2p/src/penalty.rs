//! What misbehaviour costs.

/// How much an offence counts. A peer with fifty points, of which half are forgotten in
/// [`crate::Limits::ban_half_life`], is banned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Penalty {
    /// One point: it happens to honest peers too, such as an answer that came too late.
    Low,
    /// Five points: an honest peer does it seldom, such as promising what it does not have.
    Medium,
    /// Ten points: wrong data that a mistake could explain.
    High,
    /// Fifty points: no honest peer does it.
    Fatal,
}

impl Penalty {
    /// The points.
    pub const fn weight(self) -> f64 {
        match self {
            Self::Low => 1.0,
            Self::Medium => 5.0,
            Self::High => 10.0,
            Self::Fatal => 50.0,
        }
    }
}
