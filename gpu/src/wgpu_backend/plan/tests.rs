use super::*;
use proptest::prelude::*;

const WIDE: Bounds =
    Bounds { binding_bytes: 128 << 20, macs_per_dispatch: 1 << 35, max_bytes: 2 << 30 };

#[test]
fn a_small_product_is_one_block() {
    let plan = Plan::new(599, &[StageShape { k: 64, n: 10 }], WIDE).unwrap();
    let columns = vec![Columns { per_buffer: 10, per_dispatch: 10 }];
    assert_eq!(plan, Plan { rows: 599, columns });
}

#[test]
fn weights_over_the_binding_limit_are_split_over_buffers() {
    let plan = Plan::new(1, &[StageShape { k: 65_536, n: 3_000 }], WIDE).unwrap();
    assert_eq!(plan.columns[0].per_buffer, 2_048);
}

#[test]
fn weights_over_the_budget_are_refused_with_what_they_need() {
    let bounds = Bounds { max_bytes: 1 << 20, ..WIDE };
    let refused = Plan::new(1, &[StageShape { k: 1_024, n: 1_024 }], bounds);
    let needed = 1_024 * (1_024 + 12) + 2 * 1_024 + 2 * 4_096;
    assert_eq!(refused, Err(GpuError::OverBudget { needed, budget: 1 << 20 }));
}

#[test]
fn a_row_over_the_binding_limit_is_refused() {
    let bounds = Bounds { binding_bytes: 1_024, ..WIDE };
    let refused = Plan::new(1, &[StageShape { k: 16, n: 257 }], bounds);
    assert!(matches!(refused, Err(GpuError::TooLarge { value: 1_028, max: 1_024, .. })));
}

proptest! {
    #[test]
    fn every_plan_respects_its_bounds(
        rows in 1_usize..200_000,
        shapes in prop::collection::vec((1_usize..70_000, 1_usize..70_000), 1..5),
        binding in 16_u64..28,
        macs in 0_u64..40,
        memory in 16_u64..36,
    ) {
        let stages: Vec<_> = shapes.iter().map(|(k, n)| StageShape { k: *k, n: *n }).collect();
        let bounds = Bounds {
            binding_bytes: 1 << binding,
            macs_per_dispatch: 1 << macs,
            max_bytes: 1 << memory,
        };
        let Ok(plan) = Plan::new(rows, &stages, bounds) else { return Ok(()) };
        prop_assert!((1..=rows).contains(&plan.rows) && plan.rows as u64 <= MAX_BLOCK_ROWS);
        for (stage, columns) in stages.iter().zip(&plan.columns) {
            let block = plan.rows as u64;
            prop_assert!(block * stage.row_bytes() <= bounds.binding_bytes);
            prop_assert!(block * stage.n as u64 * 4 <= bounds.binding_bytes);
            prop_assert!(columns.per_buffer as u64 * stage.row_bytes() <= bounds.binding_bytes);
            prop_assert!((1..=columns.per_buffer).contains(&columns.per_dispatch));
            let macs = block * columns.per_dispatch as u64 * stage.row_bytes();
            // A single output cannot be split.
            prop_assert!(macs <= bounds.macs_per_dispatch.max(stage.row_bytes()));
        }
    }
}
