//! Functions of one value, in floats: what tables are made of.

use crate::Curve;

/// A function applied to every value.
#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    /// `max(x, 0)`.
    Relu,
    /// `x` below zero times a factor.
    LeakyRelu(f32),
    /// GELU with the error function.
    Gelu,
    /// GELU by its usual approximation with tanh.
    GeluTanh,
    /// `x * sigmoid(x)`.
    Silu,
    /// `1 / (1 + e^-x)`.
    Sigmoid,
    /// Hyperbolic tangent.
    Tanh,
    /// The error function.
    Erf,
    /// Between two bounds.
    Clip(f32, f32),
    /// `max(0, min(1, a * x + b))`.
    HardSigmoid(f32, f32),
    /// `e^x`.
    Exp,
    /// The natural logarithm; that of the least positive number for what has none.
    Log,
    /// The square root; 0 of what has none.
    Sqrt,
    /// The magnitude.
    Abs,
    /// The sine.
    Sin,
    /// The cosine.
    Cos,
    /// The greatest whole number that is not above.
    Floor,
    /// The nearest whole number, the even one of two.
    Round,
    /// What a chain of element-wise operators comes to.
    Curve(Curve),
}

impl Function {
    /// The function's value.
    #[must_use]
    pub fn of(&self, x: f32) -> f32 {
        match self {
            Function::Relu => x.max(0.0),
            Function::LeakyRelu(factor) if x < 0.0 => x * *factor,
            Function::LeakyRelu(_) => x,
            Function::Gelu => 0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2)),
            Function::GeluTanh => {
                let inner = (2.0 / std::f32::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
                0.5 * x * (1.0 + inner.tanh())
            }
            Function::Silu => x * sigmoid(x),
            Function::Sigmoid => sigmoid(x),
            Function::Tanh => x.tanh(),
            Function::Erf => erf(x),
            Function::Clip(low, high) => x.max(*low).min(*high),
            Function::HardSigmoid(slope, offset) => (slope * x + offset).clamp(0.0, 1.0),
            Function::Exp => x.exp(),
            Function::Log => x.max(f32::MIN_POSITIVE).ln(),
            Function::Sqrt => x.max(0.0).sqrt(),
            Function::Abs => x.abs(),
            Function::Sin => x.sin(),
            Function::Cos => x.cos(),
            Function::Floor => x.floor(),
            Function::Round => x.round_ties_even(),
            Function::Curve(curve) => curve.of(x),
        }
    }
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// The error function: Abramowitz and Stegun 7.1.26 in 64 bits, wrong by at most 1.5e-7.
fn erf(x: f32) -> f32 {
    let x = f64::from(x);
    let t = 1.0 / (1.0 + 0.327_591_1 * x.abs());
    let factors = [1.061_405_429, -1.453_152_027, 1.421_413_741, -0.284_496_736, 0.254_829_592];
    let series = factors.iter().fold(0.0, |sum, factor| (sum + factor) * t);
    (x.signum() * (1.0 - series * (-x * x).exp())) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_their_known_values() {
        let known = [
            (Function::Gelu, 1.0, 0.841_345),
            (Function::Gelu, -2.0, -0.045_500),
            (Function::GeluTanh, 1.0, 0.841_192),
            (Function::Silu, 2.0, 1.761_594),
            (Function::Erf, 0.5, 0.520_500),
            (Function::Erf, -3.0, -0.999_978),
            (Function::LeakyRelu(0.1), -2.0, -0.2),
            (Function::Clip(0.0, 6.0), 9.0, 6.0),
            (Function::HardSigmoid(0.2, 0.5), 1.0, 0.7),
        ];
        for (function, x, y) in known {
            assert!((function.of(x) - y).abs() < 1e-5, "{function:?}({x}) = {}", function.of(x));
        }
    }
}
