//! ONNX files: images made greater and smaller, edges padded, values compared, constants that decide.

use neura_convert::{Options, Sample, calibrate, compare, quantise};
use proptest::prelude::*;

mod file;

use file::{
    field, floats, int, integers, ints, model, node, number, random, read_onnx, samples, value,
};

fn text(name: &str, value: &str) -> Vec<u8> {
    field(5, &[field(1, name.as_bytes()), field(4, value.as_bytes()), number(20, 3)].concat())
}

fn evaluated(parts: &[Vec<u8>], values: &[f32]) -> Vec<f32> {
    let graph = read_onnx(&model(parts), 8).unwrap();
    let sample = Sample::Features { width: values.len(), values: values.to_vec() };
    graph.evaluate(&sample).unwrap().concat()
}

/// Sides of a transposed convolution: channels, outputs, image, window, stride, pads, more.
type Sides =
    ((usize, usize, usize), ([usize; 2], [usize; 2], [usize; 2]), ([usize; 2], [usize; 2]));

/// What ONNX says a transposed convolution is: every cell adds its window to the output.
fn spread_out(
    x: &[f32],
    w: &[f32],
    ((inputs, outputs, groups), (image, size, stride), (pads, more)): Sides,
) -> Vec<f32> {
    let [height, width] =
        [0, 1].map(|a| (image[a] - 1) * stride[a] + size[a] + more[a] - 2 * pads[a]);
    let mut made = vec![0.0; outputs * groups * height * width];
    for channel in 0..inputs {
        let group = channel / (inputs / groups);
        for output in 0..outputs {
            for cell in 0..image[0] * image[1] {
                for tap in 0..size[0] * size[1] {
                    let y = cell / image[1] * stride[0] + tap / size[1];
                    let x_at = cell % image[1] * stride[1] + tap % size[1];
                    let (Some(y), Some(at)) = (y.checked_sub(pads[0]), x_at.checked_sub(pads[1]))
                    else {
                        continue;
                    };
                    if y < height && at < width {
                        let weight = w[(channel * outputs + output) * size[0] * size[1] + tap];
                        made[((group * outputs + output) * height + y) * width + at] +=
                            weight * x[channel * image[0] * image[1] + cell];
                    }
                }
            }
        }
    }
    made
}

proptest! {
    #[test]
    fn a_transposed_convolution_spreads_every_cell(
        (groups, inner, outputs) in (1_usize..3, 1_usize..3, 1_usize..3),
        image in [1_usize..4, 2_usize..4], size in [1_usize..5, 1_usize..5],
        stride in [1_usize..4, 1_usize..4], more in [0_usize..2, 0_usize..2], pad in 0_usize..2,
    ) {
        let inputs = groups * inner;
        let pads = size.map(|size| pad.min(size / 2));
        let more = [0, 1].map(|axis| more[axis].min(stride[axis] - 1));
        let sides = ((inputs, outputs, groups), (image, size, stride), (pads, more));
        let whole = |n: usize| n as i64;
        let w = random(1, inputs * outputs * size[0] * size[1], 1.0);
        let x = random(2, inputs * image[0] * image[1], 1.0);
        let expected = spread_out(&x, &w, sides);
        prop_assume!(!expected.is_empty());
        let dims = [inputs, outputs, size[0], size[1]].map(whole);
        let found = evaluated(&[
            floats("w", &dims, &w),
            node("ConvTranspose", &["x", "w"], "y", &[
                ints("strides", &stride.map(whole)), int("group", whole(groups)),
                ints("pads", &[pads[0], pads[1], pads[0], pads[1]].map(whole)),
                ints("output_padding", &more.map(whole)),
            ]),
            value(11, "x", &[inputs, image[0], image[1]].map(whole)),
            value(12, "y", &[1]),
        ], &x);
        prop_assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            prop_assert!((found - expected).abs() < 1e-4, "{} is not {}", found, expected);
        }
    }
}

#[test]
fn an_image_is_interpolated_between_its_cells_and_repeated_at_its_edges() {
    let resized = evaluated(
        &[
            floats("scales", &[4], &[1.0, 1.0, 1.0, 2.0]),
            node("Resize", &["x", "", "scales"], "y", &[text("mode", "linear")]),
            value(11, "x", &[1, 2, 2]),
            value(12, "y", &[1]),
        ],
        &[0.0, 4.0, 8.0, 16.0],
    );
    assert_eq!(resized, [0.0, 1.0, 3.0, 4.0, 8.0, 10.0, 14.0, 16.0]);
    let mirrored = evaluated(
        &[
            integers("pads", &[0, 0, 0, 2, 0, 0, 1, 1]),
            node("Pad", &["x", "pads"], "y", &[text("mode", "reflect")]),
            value(11, "x", &[1, 2, 3]),
            value(12, "y", &[1]),
        ],
        &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0],
    );
    let [first, second] = [[3.0, 2.0, 1.0, 2.0, 3.0, 2.0], [6.0, 5.0, 4.0, 5.0, 6.0, 5.0]];
    assert_eq!(mirrored, [first, second, first].concat());
}

#[test]
fn weights_far_apart_that_see_nothing_of_a_small_image_are_left_out() {
    let found = evaluated(
        &[
            floats("w", &[1, 1, 3, 3], &[9.0, 9.0, 9.0, 9.0, 2.0, 9.0, 9.0, 9.0, 9.0]),
            node("Conv", &["x", "w"], "y", &[ints("dilations", &[90; 2]), ints("pads", &[90; 4])]),
            value(11, "x", &[1, 2, 2]),
            value(12, "y", &[1]),
        ],
        &[1.0, 2.0, 3.0, 4.0],
    );
    assert_eq!(found, [2.0, 4.0, 6.0, 8.0]);
}

#[test]
fn values_are_compared_chosen_and_bounded_by_each_other() {
    let found = evaluated(
        &[
            floats("w", &[2, 2], &[0.0, 1.0, 1.0, 0.0]),
            node("MatMul", &["x", "w"], "z", &[]),
            node("Max", &["x", "z"], "most", &[]),
            node("Min", &["x", "z"], "least", &[]),
            node("Less", &["x", "z"], "less", &[]),
            node("Neg", &["z"], "minus", &[]),
            node("Where", &["less", "x", "minus"], "chosen", &[]),
            node("LogSoftmax", &["x"], "logs", &[int("axis", 1)]),
            value(11, "x", &[2]),
            value(12, "most", &[2]),
            value(12, "least", &[2]),
            value(12, "chosen", &[2]),
            value(12, "logs", &[2]),
        ],
        &[1.5, -0.5],
    );
    let total = (1.5_f32.exp() + (-0.5_f32).exp()).ln();
    let expected = [1.5, 1.5, -0.5, -0.5, 0.5, -0.5, 1.5 - total, -0.5 - total];
    for (found, expected) in found.iter().zip(expected) {
        assert!((found - expected).abs() < 1e-6, "{found} is not {expected}");
    }
}

/// A graph within a node, that makes `output` of `inputs`.
fn branch(name: &str, op: &str, inputs: &[&str]) -> Vec<u8> {
    let output = format!("{name}.made");
    let inner = [node(op, inputs, &output, &[]), value(12, &output, &[2])].concat();
    field(5, &[field(1, name.as_bytes()), field(6, &inner), number(20, 5)].concat())
}

#[test]
fn a_constant_decides_which_part_of_a_file_is_read() {
    let parts = |truth: f32| {
        vec![
            floats("truth", &[], &[truth]),
            node("Neg", &["x"], "z", &[]),
            node(
                "If",
                &["truth"],
                "y",
                &[branch("then_branch", "Relu", &["z"]), branch("else_branch", "Abs", &["z"])],
            ),
            value(11, "x", &[2]),
            value(12, "y", &[2]),
        ]
    };
    assert_eq!(evaluated(&parts(1.0), &[2.0, -3.0]), [0.0, 3.0]);
    assert_eq!(evaluated(&parts(0.0), &[2.0, -3.0]), [2.0, 3.0]);
}

#[test]
fn products_of_fifteen_bits_lose_less_than_those_of_eight() {
    // One channel is ten times as great as the others, as some of trained networks are.
    let mut w = random(1, 8 * 2 * 9, 0.4);
    w[..18].iter_mut().for_each(|w| *w *= 10.0);
    let after = random(2, 4 * 8 * 9, 0.1);
    let bytes = model(&[
        floats("w", &[8, 2, 3, 3], &w),
        floats("v", &[4, 8, 3, 3], &after),
        floats("u", &[36, 5], &random(3, 180, 0.5)),
        node("Conv", &["x", "w"], "c", &[ints("pads", &[1; 4])]),
        node("Relu", &["c"], "r", &[]),
        node("Conv", &["r", "v"], "d", &[ints("strides", &[2; 2])]),
        node("Tanh", &["d"], "t", &[]),
        node("Flatten", &["t"], "f", &[]),
        node("MatMul", &["f", "u"], "y", &[]),
        value(11, "x", &[2, 8, 8]),
        value(12, "y", &[5]),
    ]);
    let graph = read_onnx(&bytes, 8).unwrap();
    let calibration = calibrate(&graph, &samples(1, 60, 128)).unwrap();
    let error = |fine: bool| {
        let options = Options { fine, ..Options::default() };
        let made = quantise(&graph, &calibration, options).unwrap();
        let report = compare(&graph, &made.model, &made.card, &samples(2, 30, 128), |inputs| {
            made.model.run(inputs)
        });
        report.unwrap().outputs[0].relative_error
    };
    let (plain, fine) = (error(false), error(true));
    assert!(fine < plain / 2.0, "{plain} became {fine}");
}
