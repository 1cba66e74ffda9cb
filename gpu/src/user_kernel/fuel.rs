//! Make every loop of a module pay.
//!
//! Each invocation has a private counter. The head of each loop takes one from it; where it is zero, the invocation
//! leaves the loop and sets a flag that the host reads: its results are then not those of the source, and are not given
//! out. Calls need no fuel: WGSL has no recursion, and what a module grows to with its calls expanded is bounded.

use wgpu::naga::{
    AddressSpace, BinaryOperator, Block, Expression, Function, GlobalVariable, Handle, Literal,
    MemoryDecorations, Module, ResourceBinding, Scalar, Span, Statement, StorageAccess, Type,
    TypeInner,
};

/// Group of the flag that says that fuel was spent; jobs have group 0.
pub(crate) const FLAG_GROUP: u32 = 1;

/// Where the counter and the flag are.
#[derive(Clone, Copy)]
struct Meter {
    counter: Handle<GlobalVariable>,
    flag: Handle<GlobalVariable>,
}

/// Injects the counter, filled with `fuel`, and the flag at group [`FLAG_GROUP`], binding 0.
pub(super) fn inject(module: &mut Module, fuel: u32) {
    let u32_type = |inner| Type { name: None, inner };
    let plain = module.types.insert(u32_type(TypeInner::Scalar(Scalar::U32)), Span::UNDEFINED);
    let atomic = module.types.insert(u32_type(TypeInner::Atomic(Scalar::U32)), Span::UNDEFINED);
    let init =
        module.global_expressions.append(Expression::Literal(Literal::U32(fuel)), Span::UNDEFINED);
    let counter = GlobalVariable {
        name: Some("neura_fuel".into()),
        space: AddressSpace::Private,
        binding: None,
        ty: plain,
        init: Some(init),
        memory_decorations: MemoryDecorations::empty(),
    };
    let flag = GlobalVariable {
        name: Some("neura_spent".into()),
        space: AddressSpace::Storage { access: StorageAccess::LOAD | StorageAccess::STORE },
        binding: Some(ResourceBinding { group: FLAG_GROUP, binding: 0 }),
        ty: atomic,
        init: None,
        memory_decorations: MemoryDecorations::empty(),
    };
    let meter = Meter {
        counter: module.global_variables.append(counter, Span::UNDEFINED),
        flag: module.global_variables.append(flag, Span::UNDEFINED),
    };
    for (_, function) in module.functions.iter_mut() {
        meter.loops(function);
    }
    for entry in &mut module.entry_points {
        meter.loops(&mut entry.function);
    }
}

impl Meter {
    fn loops(self, function: &mut Function) {
        let mut body = std::mem::take(&mut function.body);
        self.block(function, &mut body);
        function.body = body;
    }

    fn block(self, function: &mut Function, block: &mut Block) {
        for statement in block.iter_mut() {
            match statement {
                Statement::Block(inner) => self.block(function, inner),
                Statement::If { accept, reject, .. } => {
                    self.block(function, accept);
                    self.block(function, reject);
                }
                Statement::Switch { cases, .. } => {
                    cases.iter_mut().for_each(|case| self.block(function, &mut case.body));
                }
                Statement::Loop { body, continuing, .. } => {
                    self.block(function, body);
                    self.block(function, continuing);
                    let mut head = self.pay(function);
                    head.append(body);
                    *body = head;
                }
                _ => {}
            }
        }
    }

    /// `if fuel == 0 { spent = 1; break } else { fuel -= 1 }`
    fn pay(self, function: &mut Function) -> Block {
        let expressions = &mut function.expressions;
        let mut add = |expression| expressions.append(expression, Span::UNDEFINED);
        let counter = add(Expression::GlobalVariable(self.counter));
        let flag = add(Expression::GlobalVariable(self.flag));
        let zero = add(Expression::Literal(Literal::U32(0)));
        let one = add(Expression::Literal(Literal::U32(1)));
        let before = add(Expression::Load { pointer: counter });
        let binary = |op, left, right| Expression::Binary { op, left, right };
        let empty = add(binary(BinaryOperator::Equal, before, zero));
        let first = expressions.range_from(before.index());
        let start = expressions.len();
        let less =
            expressions.append(binary(BinaryOperator::Subtract, before, one), Span::UNDEFINED);
        let second = expressions.range_from(start);
        let accept = vec![Statement::Store { pointer: flag, value: one }, Statement::Break];
        let reject =
            vec![Statement::Emit(second), Statement::Store { pointer: counter, value: less }];
        let pay = Statement::If { condition: empty, accept: accept.into(), reject: reject.into() };
        vec![Statement::Emit(first), pay].into()
    }
}
