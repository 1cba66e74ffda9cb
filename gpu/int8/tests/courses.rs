//! Jobs put down and taken up again: the same bits, and nothing taken that the model cannot give.

mod random;

use neura_int8::{
    Builder, Course, DType, Data, ModelError, OpenJob, Prompt, Reference, Request, Sampling, Scale,
    Tensor,
    ops::{embed::Embed, linear::Linear, reduce::Argmax, sample::Sample},
};
use proptest::prelude::*;
use random::{MAX_ROWS, Noise, inputs, model};

const VOCABULARY: usize = 11;
/// Rows that the decoder takes at most.
const CONTEXT: usize = 12;

/// A decoder: what follows a token depends on that token and on its place.
fn decoder() -> neura_int8::Model {
    let noise = &mut Noise(7);
    let mut builder = Builder::new(CONTEXT);
    let tokens = builder.input("tokens", DType::I32, &[], (0, VOCABULARY as i32 - 1));
    let table = builder.param("table", noise.tensor(DType::I8, &[VOCABULARY, 8], (-99, 99)));
    let x = builder.node(Embed { table }, &[tokens]).unwrap();
    let weights = builder.param("weights", noise.tensor(DType::I8, &[VOCABULARY, 8], (-99, 99)));
    let logits = builder.node(Linear { weights, bias: None, finish: None }, &[x]).unwrap();
    let next = builder.node(Sample { scale: Scale::new(1 << 30, 34).unwrap() }, &[logits]).unwrap();
    builder.output("next", next);
    builder.build().unwrap()
}

fn prompt(tokens: &[i32], stop: Vec<i32>) -> Request {
    let sampling = Sampling { seed: [5; 32], temperature: 2 << 16 };
    Request::Generate(Prompt { tokens: tokens.to_vec(), max_tokens: 9, stop, sampling })
}

/// Generations to the last token, to a stop token and to the last row, and a run between them.
fn generations() -> OpenJob {
    let run = Request::Run {
        inputs: vec![Tensor::list(vec![1, 2, 3, 4, 5]).unwrap()],
        sampling: Sampling { seed: [3; 32], temperature: 1 << 16 },
    };
    let stop = (0..VOCABULARY as i32).step_by(3).collect();
    let requests = vec![
        prompt(&[1, 2], vec![]),
        run,
        prompt(&[3], stop),
        prompt(&[4; CONTEXT - 2], vec![]),
        prompt(&[9], vec![]),
    ];
    OpenJob { model: decoder(), requests, cost: Default::default() }
}

/// Every checkpoint of a job, from before the first step to after the last.
fn checkpoints(job: &OpenJob) -> Vec<Vec<u8>> {
    let mut course = Course::new(job);
    let mut all = vec![course.checkpoint()];
    while course.step(&Reference, 0).unwrap() {
        all.push(course.checkpoint());
    }
    all
}

#[test]
fn a_job_taken_up_after_any_step_gives_the_same_bits() {
    for (job, steps) in [(generations(), 20), (samples(), 18)] {
        let whole = job.run(&Reference).unwrap();
        let all = checkpoints(&job);
        assert!(all.len() > steps, "{} steps", all.len());
        for checkpoint in &all {
            let mut course = Course::resume(&job, checkpoint).unwrap();
            assert_eq!(&course.checkpoint(), checkpoint);
            while course.step(&Reference, 0).unwrap() {}
            assert_eq!(course.finish().unwrap(), whole);
        }
    }
}

#[test]
fn every_step_gets_further_and_the_last_one_to_the_end() {
    let job = generations();
    let mut course = Course::new(&job);
    let mut done = course.done();
    assert_eq!(done, 0);
    while course.step(&Reference, 0).unwrap() {
        assert!(course.done() > done, "{} after {done}", course.done());
        done = course.done();
    }
    assert_eq!(done, course.total());
    assert!(Course::new(&job).finish().is_err(), "nothing was answered");
}

#[test]
fn tokens_made_elsewhere_are_taken_as_if_they_were_made_here() {
    let job = generations();
    let expected = job.run(&Reference).unwrap();
    for taken in 0..=9 {
        let mut course = Course::new(&job);
        while course.answered() < job.requests.len() {
            let answer = expected.answers()[course.answered()][0].data().i32s();
            // Of each generation some are taken, and the others made here.
            match course.generating().map(|(_, made)| made.len()) {
                Some(made) if made < taken => course.take_token(answer[made]).unwrap(),
                _ => assert!(course.step(&Reference, 0).unwrap()),
            }
        }
        assert!(course.take_token(0).is_err(), "all is answered");
        assert_eq!(course.finish().unwrap(), expected, "{taken} taken");
    }
    let mut course = Course::new(&job);
    assert!(course.take_token(VOCABULARY as i32).is_err(), "no such token is made");
    assert_eq!(course.generating().unwrap().1, []);
}

#[test]
fn a_checkpoint_of_another_job_is_refused() {
    let (job, mut other) = (generations(), generations());
    other.requests.rotate_left(1);
    let taken = checkpoints(&job).iter().filter(|c| Course::resume(&other, c).is_ok()).count();
    assert_eq!(taken, 1, "only that in which nothing is done");
}

#[test]
fn tokens_that_the_model_would_not_have_made_are_refused() {
    let job = OpenJob { requests: vec![prompt(&[1], vec![2])], ..generations() };
    let mut course = Course::new(&job);
    course.step(&Reference, 0).unwrap();
    let valid = course.checkpoint();
    let last = valid.len() - 4;
    for token in [-1, VOCABULARY as i32, 2] {
        let mut bytes = valid.clone();
        bytes[last..].copy_from_slice(&token.to_le_bytes());
        let error = Course::resume(&job, &bytes).unwrap_err();
        assert!(matches!(error, ModelError::Checkpoint { .. }), "{token}: {error}");
    }
}

/// Rows of a classifier, whose rows stand alone.
fn samples() -> OpenJob {
    let mut builder = Builder::new(40);
    let x = builder.input("x", DType::I8, &[3], (-127, 127));
    let weights = Data::I8(vec![1, -2, 3, -128, 127, 0]);
    let weights = builder.param("weights", Tensor::new(vec![2, 3], weights).unwrap());
    let logits = builder.node(Linear { weights, bias: None, finish: None }, &[x]).unwrap();
    let class = builder.node(Argmax, &[logits]).unwrap();
    builder.output("class", class);
    builder.output("logits", logits);
    let input = Noise(3).tensor(DType::I8, &[9, 3], (-127, 127));
    let requests = vec![Request::run(vec![input.clone()]), Request::run(vec![input])];
    OpenJob { model: builder.build().unwrap(), requests, cost: Default::default() }
}

fn damaged(valid: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let (which, cut) = (any::<prop::sample::Index>(), any::<prop::sample::Index>());
    (which, changes, prop::collection::vec(any::<u8>(), 0..3), cut).prop_map(
        move |(which, changes, tail, cut)| {
            let mut bytes = which.get(&valid).clone();
            for (index, byte) in changes {
                let index = index.index(bytes.len());
                bytes[index] = byte;
            }
            bytes.extend(tail);
            bytes.truncate(bytes.len().min(bytes.len() / 2 + cut.index(bytes.len())));
            bytes
        },
    )
}

proptest! {
    #[test]
    fn a_damaged_checkpoint_is_refused_or_is_another_one_that_ends_in_a_result(
        of_tokens in damaged(checkpoints(&generations())),
        of_rows in damaged(checkpoints(&samples())),
    ) {
        for (job, bytes) in [(generations(), of_tokens), (samples(), of_rows)] {
            if let Ok(mut course) = Course::resume(&job, &bytes) {
                prop_assert_eq!(course.checkpoint(), bytes);
                while course.step(&Reference, 0).unwrap() {}
                prop_assert!(course.finish().is_ok());
            }
        }
    }

    #[test]
    fn arbitrary_bytes_are_no_checkpoint(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(Course::resume(&samples(), &bytes).is_err());
    }

    #[test]
    fn a_run_in_parts_of_any_size_is_the_whole_run(seed in any::<u64>(), rows in 1_usize..6) {
        if let (Some(model), _) = model(seed, 8) {
            let noise = &mut Noise(seed ^ 5);
            let macs = model.cost(1).macs * rows as u64;

            let inputs = inputs(&model, 1 + noise.below(MAX_ROWS), noise);
            let seed = std::array::from_fn(|_| noise.next() as u8);
            let sampling = Sampling { seed, temperature: 1 << 16 };
            let expected = model.run_with(&Reference, &inputs, sampling);
            let requests = vec![Request::Run { inputs, sampling }];
            let job = OpenJob { model, requests, cost: Default::default() };
            let mut checkpoint = Course::new(&job).checkpoint();
            loop {
                let mut course = Course::resume(&job, &checkpoint).unwrap();
                if !course.step(&Reference, macs).unwrap() {
                    let result = course.finish().unwrap();
                    prop_assert_eq!(Ok(&result.answers()[0]), expected.as_ref());
                    break;
                }
                checkpoint = course.checkpoint();
            }
        }
    }
}
