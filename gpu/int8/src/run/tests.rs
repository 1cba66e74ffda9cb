use super::*;
use crate::{
    Builder, DType, Product, Requant, Scale,
    ops::{
        conv::{Conv2d, Window},
        linear::Linear,
    },
};

#[derive(Debug)]
struct Wrong;

impl Kernels for Wrong {
    fn product(&self, product: Product<'_>) -> Result<Vec<i32>, ModelError> {
        Ok(vec![0; product.depth])
    }
}

#[derive(Debug)]
struct Lost;

impl Kernels for Lost {
    fn node(&self, _: &Call<'_>) -> Result<Option<Data>, ModelError> {
        Err(ModelError::Kernel { reason: "lost".into() })
    }
}

fn identity(width: usize) -> Model {
    let mut builder = Builder::new(4);
    let x = builder.input("x", DType::I8, &[width], (-127, 127));
    let one = |at: usize| i8::from(at / width == at % width);
    let weights = Tensor::new(vec![width, width], Data::I8((0..width * width).map(one).collect()));
    let weights = builder.param("weights", weights.unwrap());
    let finish = Some(Requant::new(Scale::ONE, DType::I8));
    let y = builder.node(Linear { weights, bias: None, finish }, &[x]).unwrap();
    builder.output("y", y);
    builder.build().unwrap()
}

#[test]
fn a_kernel_that_fails_or_gives_another_size_is_named() {
    let model = identity(3);
    let input = Tensor::new(vec![2, 3], Data::I8(vec![1, -2, 3, -4, 5, 127])).unwrap();
    let run = |kernels: &dyn Kernels| {
        model.run_with(kernels, std::slice::from_ref(&input), Sampling::default())
    };
    assert_eq!(run(&Reference).unwrap()[0], input);
    assert!(matches!(run(&Wrong), Err(ModelError::Kernel { .. })));
    assert_eq!(run(&Lost), Err(ModelError::Kernel { reason: "lost".into() }));
}

#[test]
fn a_convolution_of_a_known_image_is_as_on_paper() {
    let mut builder = Builder::new(1);
    let x = builder.input("x", DType::I8, &[1, 3, 3], (-127, 127));
    let weights = Tensor::new(vec![1, 1, 2, 2], Data::I8(vec![1, 2, 3, 4])).unwrap();
    let weights = builder.param("weights", weights);
    let bias = Some(builder.param("bias", Tensor::list(vec![100]).unwrap()));
    let window = Window { size: [2, 2], stride: [2, 1], before: [1, 0], after: [0, 1] };
    let conv = Conv2d { weights, bias, window, groups: 1, finish: None };
    let y = builder.node(conv, &[x]).unwrap();
    builder.output("y", y);
    let model = builder.build().unwrap();
    let image = Tensor::new(vec![1, 1, 3, 3], Data::I8(vec![1, 2, 3, 4, 5, 6, 7, 8, 9])).unwrap();
    let found = model.run(&[image]).unwrap();
    assert_eq!(found[0].dims(), [1, 1, 2, 3]);
    // Rows: above the image and its first row; its second and third row.
    let sums = [3 + 8, 6 + 12, 9, 4 + 10 + 21 + 32, 5 + 12 + 24 + 36, 6 + 27];
    assert_eq!(found[0].data(), &Data::I32(sums.map(|sum| sum + 100).to_vec()));
}
