use super::*;

fn numbers(values: &[f32]) -> Sample {
    Sample::Features { width: values.len(), values: values.to_vec() }
}

#[test]
fn data_of_another_kind_than_the_model_takes_is_refused_with_what_to_give() {
    let (of_tokens, _) = Graph::new(8, "text", Op::Tokens(5), vec![]);
    let (of_numbers, _) = Graph::new(8, "x", Op::Features, vec![2]);
    let (tokens, numbers) = (Sample::Tokens(vec![1, 2]), numbers(&[1.0, 2.0]));
    check(&of_tokens, std::slice::from_ref(&tokens)).unwrap();
    check(&of_numbers, std::slice::from_ref(&numbers)).unwrap();
    let text = check(&of_tokens, &[numbers]).unwrap_err().to_string();
    assert!(text.contains("takes tokens") && text.contains("[101, 7592, 102]"), "{text}");
    let text = check(&of_numbers, &[tokens]).unwrap_err().to_string();
    assert!(text.contains("takes 2 numbers") && text.contains("numpy.save"), "{text}");
}

#[test]
fn data_that_is_the_same_everywhere_is_warned_of() {
    let told = |samples: &[Sample]| poor(samples);
    for same in [
        [numbers(&[0.0, 0.0]), numbers(&[0.0, -0.0])],
        [numbers(&[2.5, 2.5]), numbers(&[2.5, 2.5])],
        [Sample::Tokens(vec![7, 7]), Sample::Tokens(vec![7])],
    ] {
        assert!(told(&same).unwrap().contains("everywhere"), "{same:?}");
    }
    assert_eq!(told(&[numbers(&[0.0, 0.0]), numbers(&[0.0, 0.1])]), None);
    assert_eq!(told(&[Sample::Tokens(vec![7, 8])]), None);
    assert_eq!(told(&[]), None);
}
