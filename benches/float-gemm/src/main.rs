//! Multiply square f32 matrices with the `gemm` crate on all cores, a round for each line of input.
//!
//! `float-gemm SIDE` answers each line on standard input with the nanoseconds that one product of `SIDE` × `SIDE`
//! matrices took. Values are small integers, so that every sum is exact, and a sample of them is checked at the end.

use std::{
    error::Error,
    io::{self, BufRead, Write},
    process::ExitCode,
    time::{Duration, Instant},
};

/// Sums that are compared with plain ones at the end.
const SAMPLES: usize = 64;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("float-gemm: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Box<dyn Error>> {
    let side: usize = std::env::args().nth(1).ok_or("usage: float-gemm SIDE")?.parse()?;
    let mut product = Product::new(side);
    product.multiply();
    let mut output = io::stdout();
    for line in io::stdin().lock().lines() {
        line?;
        writeln!(output, "{}", product.multiply().as_nanos())?;
        output.flush()?;
    }
    if product.is_right() { Ok(()) } else { Err("a sum is wrong".into()) }
}

/// `C = A · B`, column after column.
struct Product {
    side: usize,
    a: Vec<f32>,
    b: Vec<f32>,
    c: Vec<f32>,
}

impl Product {
    fn new(side: usize) -> Self {
        // From -8 to 8: sums stay below 2^24 up to a side of 262,144.
        let values = |factor: usize| (0..side * side).map(move |at| (at * factor % 17) as f32 - 8.0);
        Product { side, a: values(37).collect(), b: values(91).collect(), c: vec![0.0; side * side] }
    }

    fn multiply(&mut self) -> Duration {
        let (side, stride) = (self.side, self.side as isize);
        let started = Instant::now();
        // SAFETY: each matrix has `side` columns of `side` values, and `c` is borrowed by nobody else.
        unsafe {
            gemm::gemm(
                side,
                side,
                side,
                self.c.as_mut_ptr(),
                stride,
                1,
                false,
                self.a.as_ptr(),
                stride,
                1,
                self.b.as_ptr(),
                stride,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                gemm::Parallelism::Rayon(0),
            );
        }
        started.elapsed()
    }

    fn is_right(&self) -> bool {
        let side = self.side;
        (0..SAMPLES).map(|sample| sample * 7_919 % (side * side)).all(|at| {
            let (row, column) = (at % side, at / side);
            let sum: f32 = (0..side).map(|k| self.a[k * side + row] * self.b[column * side + k]).sum();
            sum == self.c[at]
        })
    }
}
