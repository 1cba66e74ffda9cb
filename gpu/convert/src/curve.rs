//! Compose functions of one value: what chains of element-wise operators come to.
//!
//! Exported models write GELU, SiLU or a logarithm's neighbour as several nodes, each of one value
//! and constants. Composed, they are one table.

use crate::Function;

/// Most steps of a curve: beyond, a chain is cut and goes on from the values of its first part.
pub(crate) const MAX_STEPS: usize = 64;

/// An operator of two numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binary {
    /// `a + b`.
    Add,
    /// `a - b`.
    Sub,
    /// `a * b`.
    Mul,
    /// `a / b`.
    Div,
    /// `a` to the power of `b`.
    Pow,
    /// The greater one.
    Max,
    /// The smaller one.
    Min,
    /// 1 if the first is greater, 0 otherwise.
    Greater,
    /// 1 if the first is greater or the same, 0 otherwise.
    AtLeast,
}

impl Binary {
    /// The operator's result.
    #[must_use]
    pub fn of(self, a: f32, b: f32) -> f32 {
        match self {
            Binary::Add => a + b,
            Binary::Sub => a - b,
            Binary::Mul => a * b,
            Binary::Div => a / b,
            // Squares are exact, and of negative numbers too.
            Binary::Pow if b == 2.0 => a * a,
            Binary::Pow => a.powf(b),
            Binary::Max => a.max(b),
            Binary::Min => a.min(b),
            Binary::Greater => f32::from(a > b),
            Binary::AtLeast => f32::from(a >= b),
        }
    }
}

/// A step of a curve, on a stack of numbers.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// Pushes the value.
    Value,
    /// Pushes a number.
    Number(f32),
    /// Replaces the topmost.
    Of(Function),
    /// Replaces the two topmost.
    Two(Binary),
}

/// A function of one value, composed of others.
#[derive(Debug, Clone, PartialEq)]
pub struct Curve {
    steps: Vec<Step>,
}

impl Curve {
    /// The value itself.
    #[must_use]
    pub fn identity() -> Self {
        Curve { steps: vec![Step::Value] }
    }

    /// A number, whatever the value.
    #[must_use]
    pub fn number(number: f32) -> Self {
        Curve { steps: vec![Step::Number(number)] }
    }

    /// A function of what this gives.
    #[must_use]
    pub fn then(mut self, function: Function) -> Self {
        self.steps.push(Step::Of(function));
        self
    }

    /// An operator between what this and another one give.
    #[must_use]
    pub fn with(mut self, operator: Binary, other: Curve) -> Self {
        self.steps.extend(other.steps);
        self.steps.push(Step::Two(operator));
        self
    }

    /// Its steps.
    pub(crate) fn length(&self) -> usize {
        self.steps.len()
    }

    /// What it gives for a value.
    #[must_use]
    pub fn of(&self, x: f32) -> f32 {
        let mut stack: Vec<f32> = Vec::with_capacity(8);
        for step in &self.steps {
            let made = match step {
                Step::Value => x,
                Step::Number(number) => *number,
                Step::Of(function) => function.of(stack.pop().unwrap_or(x)),
                Step::Two(operator) => {
                    let (b, a) = (stack.pop().unwrap_or(x), stack.pop().unwrap_or(x));
                    operator.of(a, b)
                }
            };
            stack.push(made);
        }
        stack.pop().unwrap_or(x)
    }

    /// `(a, b)` if it is `a * x + b`.
    pub(crate) fn affine(&self) -> Option<(f32, f32)> {
        let mut stack: Vec<(f32, f32)> = Vec::new();
        for step in &self.steps {
            let made = match step {
                Step::Value => (1.0, 0.0),
                Step::Number(number) => (0.0, *number),
                Step::Of(_) => return None,
                Step::Two(operator) => {
                    let (right, left) = (stack.pop()?, stack.pop()?);
                    match (operator, left, right) {
                        (Binary::Add, (a, b), (c, d)) => (a + c, b + d),
                        (Binary::Sub, (a, b), (c, d)) => (a - c, b - d),
                        (Binary::Mul, (a, b), (0.0, d)) | (Binary::Mul, (0.0, d), (a, b)) => {
                            (a * d, b * d)
                        }
                        (Binary::Div, (a, b), (0.0, d)) => (a / d, b / d),
                        _ => return None,
                    }
                }
            };
            stack.push(made);
        }
        stack.pop().filter(|(a, b)| a.is_finite() && b.is_finite())
    }

    /// The last function, if it is a clamp, and what it is applied to.
    pub(crate) fn clamp(&self) -> Option<(Curve, Function)> {
        let (last, rest) = self.steps.split_last()?;
        match last {
            Step::Of(function @ (Function::Relu | Function::Clip(..))) => {
                Some((Curve { steps: rest.to_vec() }, function.clone()))
            }
            _ => None,
        }
    }

    /// The function that it is.
    pub(crate) fn function(self) -> Function {
        match &self.steps[..] {
            [Step::Value, Step::Of(function)] => function.clone(),
            _ => Function::Curve(self),
        }
    }

    /// Whether it is `x * x`, up to rounding.
    pub(crate) fn is_square(&self) -> bool {
        [-1.5_f32, 0.5, 3.0].iter().all(|x| (self.of(*x) - x * x).abs() <= 1e-5 * x * x)
    }

    /// `(c, e)` if it is `sqrt(c * x + e)` of values that are not negative, or one over that.
    pub(crate) fn root(&self, inverse: bool) -> Option<(f32, f32)> {
        let square = |x: f32| {
            let y = self.of(x);
            let y = if inverse { 1.0 / y } else { y };
            y * y
        };
        let (slope, rest) = ((square(4.0) - square(1.0)) / 3.0, square(0.0));
        let near = |x: f32| (square(x) - (slope * x + rest)).abs() <= 1e-3 * square(x).abs();
        let fits = slope > 0.0 && rest.is_finite() && [0.25, 2.0, 9.0, 100.0].into_iter().all(near);
        fits.then_some((slope, rest))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scaled(by: f32) -> Curve {
        Curve::identity().with(Binary::Mul, Curve::number(by))
    }

    #[test]
    fn gelu_written_out_is_gelu() {
        let erf = scaled(0.5_f32.sqrt()).then(Function::Erf);
        let raised = erf.with(Binary::Add, Curve::number(1.0));
        let whole =
            Curve::identity().with(Binary::Mul, raised).with(Binary::Mul, Curve::number(0.5));
        for x in [-3.0, -0.5, 0.0, 1.0, 4.0] {
            assert!((whole.of(x) - Function::Gelu.of(x)).abs() < 1e-6, "at {x}");
        }
        assert_eq!(whole.affine(), None);
    }

    #[test]
    fn what_only_scales_and_shifts_is_known_to() {
        let curve = Curve::number(3.0).with(Binary::Sub, scaled(2.0));
        assert_eq!(curve.affine(), Some((-2.0, 3.0)));
        assert_eq!(Curve::identity().affine(), Some((1.0, 0.0)));
        let (rest, last) = curve.then(Function::Relu).clamp().unwrap();
        assert_eq!((rest.affine(), last), (Some((-2.0, 3.0)), Function::Relu));
    }

    #[test]
    fn roots_of_norms_are_told_from_others() {
        let root = Curve::identity().with(Binary::Add, Curve::number(0.25)).then(Function::Sqrt);
        assert_eq!(root.root(false), Some((1.0, 0.25)));
        let inverse = Curve::number(1.0).with(Binary::Div, root.clone());
        let (slope, rest) = inverse.root(true).unwrap();
        assert!((slope - 1.0).abs() < 1e-4 && (rest - 0.25).abs() < 1e-5);
        assert_eq!(inverse.root(false), None);
        assert_eq!(Curve::identity().root(false), None);
        assert!(Curve::identity().with(Binary::Mul, Curve::identity()).is_square());
        assert!(!Curve::identity().is_square());
    }
}
