//! Count the iterations that an invocation makes at least, as far as the source tells.
//!
//! A loop counts whose variable begins with a constant, is changed in the loop's header alone, and is compared there with
//! constants, as in `for (var i = 0u; i < 1000u; i++)`, unless its body may leave it. All else counts as nothing: what
//! is found is never more than what runs. A loop's last look at its condition counts as an iteration, as it does for fuel.

use std::cell::RefCell;

use wgpu::naga::{
    BinaryOperator, Block, EntryPoint, Expression, Function, Handle, Literal, LocalVariable,
    Module, Scalar, Statement, TypeInner, UnaryOperator,
};

/// Steps that are taken for a whole module to count its loops, one for each iteration of those that count: some
/// milliseconds, and more than any driver is known to make.
const MOST_STEPS: u64 = 1 << 18;
/// Deepest expression that is looked into: those that a loop compares are simple, and a source may nest others without end.
const MOST_DEPTH: u32 = 8;
/// Most expressions in a loop's header.
const MOST_EMITTED: usize = 32;

/// Iterations that an invocation of an entry point makes at least, of all loops that it comes to together.
pub(super) fn least(module: &Module, entry: &EntryPoint) -> u64 {
    // A function stands after those that it calls.
    let mut functions: Vec<u64> = Vec::with_capacity(module.functions.len());
    let mut steps = MOST_STEPS;
    for (_, function) in module.functions.iter() {
        let mut counter = Counter::new(module, function, &functions, steps);
        let counted = counter.block(&function.body);
        steps = counter.steps;
        functions.push(counted.least);
    }
    Counter::new(module, &entry.function, &functions, steps).block(&entry.function.body).least
}

/// What is known of some statements.
#[derive(Debug, Clone, Copy, Default)]
struct Counted {
    least: u64,
    /// They may leave the block that they stand in.
    leaves: bool,
}

/// A number or a truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Unsigned(u32),
    Signed(i32),
    Truth(bool),
}

/// A loop's variable in one of its iterations.
struct Held<'a> {
    variable: Handle<LocalVariable>,
    value: Value,
    /// Expressions that are evaluated in the loop's header: elsewhere the variable held something else.
    emitted: &'a [Handle<Expression>],
}

struct Counter<'a> {
    module: &'a Module,
    function: &'a Function,
    functions: &'a [u64],
    /// What each variable holds, where that is known.
    held: Vec<Option<Value>>,
    /// Steps that may still be taken.
    steps: u64,
}

impl<'a> Counter<'a> {
    fn new(module: &'a Module, function: &'a Function, functions: &'a [u64], steps: u64) -> Self {
        let mut counter = Self { module, function, functions, held: Vec::new(), steps };
        let variables = function.local_variables.iter();
        counter.held = variables
            .map(|(_, variable)| match variable.init {
                Some(init) => counter.value(init, None, MOST_DEPTH),
                None => zero(&module.types[variable.ty].inner),
            })
            .collect();
        counter
    }

    fn block(&mut self, block: &Block) -> Counted {
        let mut all = Counted::default();
        for statement in block.iter() {
            let counted = self.statement(statement);
            if !all.leaves {
                all.least = all.least.saturating_add(counted.least);
            }
            all.leaves |= counted.leaves;
        }
        all
    }

    fn statement(&mut self, statement: &Statement) -> Counted {
        let nothing = Counted::default();
        match statement {
            Statement::Block(block) => self.block(block),
            Statement::If { accept, reject, .. } => self.either(&[accept, reject]),
            Statement::Switch { cases, .. } => {
                let bodies: Vec<&Block> = cases.iter().map(|case| &case.body).collect();
                let goes_on =
                    |s: &Statement| leaves_function(s) || matches!(s, Statement::Continue);
                let leaves = bodies.iter().any(|body| has(body, &goes_on));
                self.either(&bodies);
                // A case may begin in the middle of others' work, or break off.
                Counted { least: 0, leaves }
            }
            Statement::Loop { body, continuing, break_if } => {
                let least = break_if.is_none().then(|| self.turns(body, continuing)).flatten();
                self.forget(body);
                self.forget(continuing);
                Counted { least: least.unwrap_or(0), leaves: has(body, &leaves_function) }
            }
            Statement::Break | Statement::Continue | Statement::Return { .. } => {
                Counted { leaves: true, ..nothing }
            }
            Statement::Store { pointer, value } => {
                let value = self.value(*value, None, MOST_DEPTH);
                if let Some(variable) = self.variable(*pointer) {
                    let whole =
                        matches!(self.function.expressions[*pointer], Expression::LocalVariable(_));
                    self.held[variable.index()] = value.filter(|_| whole);
                }
                nothing
            }
            Statement::Call { function, arguments, .. } => {
                self.lent(arguments);
                Counted {
                    least: self.functions.get(function.index()).copied().unwrap_or(0),
                    ..nothing
                }
            }
            _ => nothing,
        }
    }

    /// One of these is come to.
    fn either(&mut self, blocks: &[&Block]) -> Counted {
        let before = self.held.clone();
        let mut least = Counted { least: u64::MAX, leaves: false };
        for block in blocks {
            self.held.clone_from(&before);
            let counted = self.block(block);
            least.least = least.least.min(counted.least);
            least.leaves |= counted.leaves;
        }
        self.held = before;
        blocks.iter().for_each(|block| self.forget(block));
        Counted { least: if blocks.is_empty() { 0 } else { least.least }, ..least }
    }

    /// Iterations of a loop with all that it holds, if they can be told.
    fn turns(&mut self, body: &Block, continuing: &Block) -> Option<u64> {
        let mut emitted = Vec::new();
        let (condition, goes_on, inner) = header(body, &mut emitted)?;
        let (variable, next) = self.step(continuing, &mut emitted)?;
        let first = self.held[variable.index()]?;
        if emitted.len() > MOST_EMITTED
            || self.written(inner).contains(&variable)
            || inner.iter().any(|statement| any(statement, &leaves_function))
            || inner.iter().any(breaks)
        {
            return None;
        }
        let mut count: u64 = 0;
        let mut held = Held { variable, value: first, emitted: &emitted };
        while self.value(condition, Some(&held), MOST_DEPTH)? == Value::Truth(goes_on) {
            count += 1;
            self.steps = self.steps.saturating_sub(1);
            if self.steps == 0 {
                break;
            }
            held.value = self.value(next, Some(&held), MOST_DEPTH)?;
        }
        let mut within = Counted::default();
        let before = self.held.clone();
        self.forget(body);
        self.forget(continuing);
        for statement in inner {
            let counted = self.statement(statement);
            within.least =
                within.least.saturating_add(if within.leaves { 0 } else { counted.least });
            within.leaves |= counted.leaves;
        }
        self.held = before;
        Some(within.least.saturating_mul(count).saturating_add(count + 1))
    }

    /// The one variable that a loop's end changes, and to what.
    fn step(
        &self,
        continuing: &Block,
        emitted: &mut Vec<Handle<Expression>>,
    ) -> Option<(Handle<LocalVariable>, Handle<Expression>)> {
        let mut found = None;
        for statement in continuing.iter().flat_map(flat) {
            match statement {
                Statement::Emit(range) => emitted.extend(range.clone()),
                Statement::Store { pointer, value } if found.is_none() => {
                    let Expression::LocalVariable(variable) = self.function.expressions[*pointer]
                    else {
                        return None;
                    };
                    found = Some((variable, *value));
                }
                _ => return None,
            }
        }
        found
    }

    /// The variable that a pointer leads into.
    fn variable(&self, mut pointer: Handle<Expression>) -> Option<Handle<LocalVariable>> {
        loop {
            match self.function.expressions[pointer] {
                Expression::LocalVariable(variable) => return Some(variable),
                Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => {
                    pointer = base;
                }
                _ => return None,
            }
        }
    }

    /// The variables that statements may write.
    fn written(&self, statements: &[Statement]) -> Vec<Handle<LocalVariable>> {
        let found = RefCell::new(Vec::new());
        let look = |statement: &Statement| {
            let mut found = found.borrow_mut();
            match statement {
                Statement::Store { pointer, .. } => found.extend(self.variable(*pointer)),
                Statement::Call { arguments, .. } => {
                    found.extend(arguments.iter().filter_map(|argument| self.variable(*argument)));
                }
                _ => {}
            }
            false
        };
        statements.iter().for_each(|statement| {
            any(statement, &look);
        });
        found.into_inner()
    }

    fn forget(&mut self, block: &Block) {
        for variable in self.written(block) {
            self.held[variable.index()] = None;
        }
    }

    fn lent(&mut self, arguments: &[Handle<Expression>]) {
        for argument in arguments {
            if let Some(variable) = self.variable(*argument) {
                self.held[variable.index()] = None;
            }
        }
    }

    /// The value of an expression of constants and of what a loop's variable holds, where that is read in the header.
    fn value(
        &self,
        expression: Handle<Expression>,
        held: Option<&Held<'_>>,
        depth: u32,
    ) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        let value = |operand: Handle<Expression>| self.value(operand, held, depth);
        match &self.function.expressions[expression] {
            Expression::Literal(literal) => of_literal(*literal),
            Expression::Constant(constant) => {
                let init = self.module.constants[*constant].init;
                match &self.module.global_expressions[init] {
                    Expression::Literal(literal) => of_literal(*literal),
                    _ => None,
                }
            }
            Expression::ZeroValue(ty) => zero(&self.module.types[*ty].inner),
            Expression::Load { pointer } => {
                let held = held.filter(|held| held.emitted.contains(&expression))?;
                match self.function.expressions[*pointer] {
                    Expression::LocalVariable(read) if read == held.variable => Some(held.value),
                    _ => None,
                }
            }
            Expression::Unary { op: UnaryOperator::LogicalNot, expr } => match value(*expr)? {
                Value::Truth(truth) => Some(Value::Truth(!truth)),
                _ => None,
            },
            Expression::Binary { op, left, right } => binary(*op, value(*left)?, value(*right)?),
            _ => None,
        }
    }
}

/// What a loop looks at first, what it goes on for, and the statements after that.
fn header<'a>(
    body: &'a Block,
    emitted: &mut Vec<Handle<Expression>>,
) -> Option<(Handle<Expression>, bool, &'a [Statement])> {
    for (at, statement) in body.iter().enumerate() {
        match statement {
            Statement::Emit(range) => emitted.extend(range.clone()),
            Statement::If { condition, accept, reject } => {
                let is_break = |block: &Block| matches!(block[..], [Statement::Break]);
                let goes_on = match (accept.is_empty(), reject.is_empty()) {
                    (true, false) if is_break(reject) => true,
                    (false, true) if is_break(accept) => false,
                    _ => return None,
                };
                return Some((*condition, goes_on, &body[at + 1..]));
            }
            _ => return None,
        }
    }
    None
}

/// A statement, or those of the block that it is.
fn flat(statement: &Statement) -> &[Statement] {
    match statement {
        Statement::Block(block) => block,
        statement => std::slice::from_ref(statement),
    }
}

/// Whether a statement, or one within it, is such.
fn any(statement: &Statement, such: &dyn Fn(&Statement) -> bool) -> bool {
    such(statement)
        || match statement {
            Statement::Block(block) => has(block, such),
            Statement::If { accept, reject, .. } => has(accept, such) || has(reject, such),
            Statement::Switch { cases, .. } => cases.iter().any(|case| has(&case.body, such)),
            Statement::Loop { body, continuing, .. } => has(body, such) || has(continuing, such),
            _ => false,
        }
}

fn has(block: &Block, such: &dyn Fn(&Statement) -> bool) -> bool {
    block.iter().any(|statement| any(statement, such))
}

fn leaves_function(statement: &Statement) -> bool {
    matches!(statement, Statement::Return { .. } | Statement::Kill)
}

/// Whether a statement may break off the loop that it stands in.
fn breaks(statement: &Statement) -> bool {
    match statement {
        Statement::Break => true,
        Statement::Block(block) => block.iter().any(breaks),
        Statement::If { accept, reject, .. } => accept.iter().chain(reject.iter()).any(breaks),
        // Theirs are their own.
        _ => false,
    }
}

fn zero(inner: &TypeInner) -> Option<Value> {
    match *inner {
        TypeInner::Scalar(Scalar::U32) => Some(Value::Unsigned(0)),
        TypeInner::Scalar(Scalar::I32) => Some(Value::Signed(0)),
        TypeInner::Scalar(Scalar::BOOL) => Some(Value::Truth(false)),
        _ => None,
    }
}

fn of_literal(literal: Literal) -> Option<Value> {
    match literal {
        Literal::U32(value) => Some(Value::Unsigned(value)),
        Literal::I32(value) => Some(Value::Signed(value)),
        Literal::Bool(value) => Some(Value::Truth(value)),
        _ => None,
    }
}

fn binary(op: BinaryOperator, left: Value, right: Value) -> Option<Value> {
    use BinaryOperator as Op;
    let order = match (left, right) {
        (Value::Unsigned(left), Value::Unsigned(right)) => left.cmp(&right),
        (Value::Signed(left), Value::Signed(right)) => left.cmp(&right),
        _ => return None,
    };
    let truth = match op {
        Op::Equal => order.is_eq(),
        Op::NotEqual => order.is_ne(),
        Op::Less => order.is_lt(),
        Op::LessEqual => order.is_le(),
        Op::Greater => order.is_gt(),
        Op::GreaterEqual => order.is_ge(),
        _ => return calculated(op, left, right),
    };
    Some(Value::Truth(truth))
}

fn calculated(op: BinaryOperator, left: Value, right: Value) -> Option<Value> {
    use BinaryOperator as Op;
    match (left, right) {
        (Value::Unsigned(left), Value::Unsigned(right)) => match op {
            Op::Add => Some(left.wrapping_add(right)),
            Op::Subtract => Some(left.wrapping_sub(right)),
            Op::Multiply => Some(left.wrapping_mul(right)),
            Op::Divide => left.checked_div(right),
            Op::ShiftLeft => left.checked_shl(right),
            Op::ShiftRight => left.checked_shr(right),
            _ => None,
        }
        .map(Value::Unsigned),
        (Value::Signed(left), Value::Signed(right)) => match op {
            Op::Add => Some(left.wrapping_add(right)),
            Op::Subtract => Some(left.wrapping_sub(right)),
            Op::Multiply => Some(left.wrapping_mul(right)),
            Op::Divide => left.checked_div(right),
            _ => None,
        }
        .map(Value::Signed),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
