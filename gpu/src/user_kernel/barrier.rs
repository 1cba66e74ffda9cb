//! Refuse a barrier that some invocations of a workgroup may come to and others not.
//!
//! WGSL demands that all of them come there together (uniform control flow), and naga does not check it: on a GPU those
//! that came would wait for ever, or go on too early. Here, as in WGSL, a value *differs* between invocations if it
//! follows from their ids, from memory that kernels write, or from a variable that was set to such a value or where
//! not all come; and invocations *part* at a branch on such a value, until its end, or where some of them left a loop,
//! until the loop's, or the function, for good. Unlike there, the order of assignments to a variable is not looked at,
//! nor which call of a function gives what: what ever differs always does. What is accepted is right;
//! `workgroupUniformLoad` makes a value common again.

use wgpu::naga::{
    AddressSpace, Binding, Block, BuiltIn, Expression, Function, Handle, LocalVariable, Module,
    Span, Statement, StorageAccess, TypeInner,
};

use super::KernelError;

/// What is known of a function; whatever is true stays so.
#[derive(Debug, Default)]
struct Known {
    /// It is called where not all invocations come.
    entered_apart: bool,
    /// Arguments that differ.
    arguments: Vec<bool>,
    /// Variables that differ.
    variables: Vec<bool>,
    /// Loops, in the order of the source, that not all invocations go through equally often.
    loops: Vec<bool>,
    /// Its result differs.
    result: bool,
}

/// How some of the invocations, and not others, leave a block.
#[derive(Debug, Clone, Copy, Default)]
struct Leaving {
    breaks: bool,
    continues: bool,
    returns: bool,
}

impl Leaving {
    fn any(self) -> bool {
        self.breaks || self.continues || self.returns
    }

    fn and(self, other: Self) -> Self {
        Self {
            breaks: self.breaks || other.breaks,
            continues: self.continues || other.continues,
            returns: self.returns || other.returns,
        }
    }
}

/// Checks every barrier of a module that naga finds valid.
pub(super) fn check(module: &Module, source: &str) -> Result<(), KernelError> {
    let entries = module.entry_points.iter().map(|entry| (&entry.function, true));
    let functions = module.functions.iter().map(|(_, function)| (function, false));
    let functions: Vec<(&Function, bool)> = functions.chain(entries).collect();
    let known = |(function, is_entry): &(&Function, bool)| Known {
        arguments: vec![*is_entry; function.arguments.len()],
        variables: vec![false; function.local_variables.len()],
        ..Known::default()
    };
    let mut known: Vec<Known> = functions.iter().map(known).collect();
    let mut changed = true;
    while changed {
        changed = false;
        // Callers stand after what they call: from them arguments are known.
        for (at, (function, _)) in functions.iter().enumerate().rev() {
            let differing = differing(module, function, at, &known);
            let known = &mut known;
            let mut walk = Walk { source, function, at, known, differing, loops: 0, changed };
            let entered_apart = walk.known[at].entered_apart;
            walk.block(&function.body, entered_apart)?;
            changed = walk.changed;
        }
    }
    Ok(())
}

/// Which expressions of a function differ between invocations.
fn differing(module: &Module, function: &Function, at: usize, known: &[Known]) -> Vec<bool> {
    let mut found: Vec<bool> = Vec::with_capacity(function.expressions.len());
    for (_, expression) in function.expressions.iter() {
        let differs = |operand: &Handle<Expression>| found.get(operand.index()) != Some(&false);
        let some = |operand: &Option<Handle<Expression>>| operand.as_ref().is_some_and(differs);
        let now = match expression {
            Expression::Literal(_)
            | Expression::Constant(_)
            | Expression::ZeroValue(_)
            | Expression::GlobalVariable(_)
            | Expression::LocalVariable(_)
            | Expression::ArrayLength(_)
            | Expression::WorkGroupUniformLoadResult { .. } => false,
            Expression::FunctionArgument(argument) => {
                let argument = *argument as usize;
                let common =
                    function.arguments.get(argument).is_some_and(|a| is_common(&a.binding));
                !common && known[at].arguments.get(argument) != Some(&false)
            }
            Expression::AccessIndex { base, index } => {
                differs(base) && !is_common_member(module, function, *base, *index)
            }
            Expression::Access { base, index } => differs(base) || differs(index),
            Expression::Load { pointer } => {
                differs(pointer) || memory_differs(module, function, *pointer, &known[at])
            }
            Expression::CallResult(called) => known[called.index()].result,
            Expression::Splat { value: operand, .. }
            | Expression::Swizzle { vector: operand, .. }
            | Expression::Unary { expr: operand, .. }
            | Expression::Relational { argument: operand, .. }
            | Expression::As { expr: operand, .. } => differs(operand),
            Expression::Compose { components, .. } => components.iter().any(differs),
            Expression::Binary { left, right, .. } => differs(left) || differs(right),
            Expression::Select { condition, accept, reject } => {
                [condition, accept, reject].into_iter().any(differs)
            }
            Expression::Math { arg, arg1, arg2, arg3, .. } => {
                differs(arg) || some(arg1) || some(arg2) || some(arg3)
            }
            _ => true,
        };
        found.push(now);
    }
    found
}

/// Whether an input of an entry point is one that all invocations of a workgroup share.
fn is_common(binding: &Option<Binding>) -> bool {
    let common = [BuiltIn::WorkGroupId, BuiltIn::NumWorkGroups, BuiltIn::WorkGroupSize];
    matches!(binding, Some(Binding::BuiltIn(input)) if common.contains(input))
}

/// The same of a member of an argument.
fn is_common_member(
    module: &Module,
    function: &Function,
    base: Handle<Expression>,
    index: u32,
) -> bool {
    let Expression::FunctionArgument(argument) = function.expressions[base] else { return false };
    let argument = function.arguments.get(argument as usize);
    match argument.map(|argument| &module.types[argument.ty].inner) {
        Some(TypeInner::Struct { members, .. }) => {
            members.get(index as usize).is_some_and(|member| is_common(&member.binding))
        }
        _ => false,
    }
}

/// Whether what lies where a pointer leads differs, if the pointer does not.
fn memory_differs(
    module: &Module,
    function: &Function,
    pointer: Handle<Expression>,
    known: &Known,
) -> bool {
    match function.expressions[root(function, pointer)] {
        Expression::LocalVariable(variable) => known.variables[variable.index()],
        Expression::GlobalVariable(variable) => match module.global_variables[variable].space {
            AddressSpace::Uniform => false,
            AddressSpace::Storage { access } => access != StorageAccess::LOAD,
            _ => true,
        },
        _ => true,
    }
}

/// The variable or argument that a pointer leads into.
fn root(function: &Function, mut pointer: Handle<Expression>) -> Handle<Expression> {
    while let Expression::Access { base, .. } | Expression::AccessIndex { base, .. } =
        function.expressions[pointer]
    {
        pointer = base;
    }
    pointer
}

/// One way through a function.
struct Walk<'a> {
    source: &'a str,
    function: &'a Function,
    /// Its place in what is known.
    at: usize,
    known: &'a mut Vec<Known>,
    differing: Vec<bool>,
    /// Loops met so far.
    loops: usize,
    changed: bool,
}

impl Walk<'_> {
    /// Goes through a block to which all invocations come, or some that have parted from others.
    fn block(&mut self, block: &Block, mut apart: bool) -> Result<Leaving, KernelError> {
        let mut leaving = Leaving::default();
        for (statement, span) in block.span_iter() {
            leaving = leaving.and(self.statement(statement, *span, apart)?);
            apart |= leaving.any();
        }
        Ok(leaving)
    }

    fn statement(
        &mut self,
        statement: &Statement,
        span: Span,
        apart: bool,
    ) -> Result<Leaving, KernelError> {
        let stays = Leaving::default();
        Ok(match statement {
            Statement::Block(block) => self.block(block, apart)?,
            Statement::If { condition, accept, reject } => {
                let apart = apart || self.differs(*condition);
                self.block(accept, apart)?.and(self.block(reject, apart)?)
            }
            Statement::Switch { selector, cases } => {
                let apart = apart || self.differs(*selector);
                let mut leaving = stays;
                for case in cases {
                    leaving = leaving.and(self.block(&case.body, apart || leaving.any())?);
                }
                Leaving { breaks: false, ..leaving }
            }
            Statement::Loop { body, continuing, break_if } => {
                self.turns(body, continuing, *break_if, apart)?
            }
            Statement::Break => Leaving { breaks: apart, ..stays },
            Statement::Continue => Leaving { continues: apart, ..stays },
            Statement::Return { value } => {
                if apart || value.is_some_and(|value| self.differs(value)) {
                    raise(&mut self.known[self.at].result, &mut self.changed);
                }
                Leaving { returns: apart, ..stays }
            }
            Statement::ControlBarrier(_) | Statement::WorkGroupUniformLoad { .. } if apart => {
                let line = span.location(self.source).line_number;
                return Err(KernelError::BarrierApart { line });
            }
            Statement::Store { pointer, value } => {
                if apart || self.differs(*value) || self.differs(*pointer) {
                    self.taint(*pointer);
                }
                stays
            }
            Statement::Call { function, arguments, .. } => {
                self.call(function.index(), arguments, apart);
                stays
            }
            _ => stays,
        })
    }

    fn turns(
        &mut self,
        body: &Block,
        continuing: &Block,
        break_if: Option<Handle<Expression>>,
        apart: bool,
    ) -> Result<Leaving, KernelError> {
        let number = self.loops;
        self.loops += 1;
        let loops = &mut self.known[self.at].loops;
        loops.resize(loops.len().max(number + 1), false);
        let apart = apart || loops[number];
        let leaving = self.block(body, apart)?;
        let leaving = leaving.and(self.block(continuing, apart || leaving.any())?);
        if leaving.any() || break_if.is_some_and(|condition| self.differs(condition)) {
            raise(&mut self.known[self.at].loops[number], &mut self.changed);
        }
        Ok(Leaving { returns: leaving.returns, ..Leaving::default() })
    }

    fn call(&mut self, called: usize, arguments: &[Handle<Expression>], apart: bool) {
        if apart {
            raise(&mut self.known[called].entered_apart, &mut self.changed);
        }
        for (place, argument) in arguments.iter().enumerate() {
            if self.differs(*argument) {
                raise(&mut self.known[called].arguments[place], &mut self.changed);
            }
            // What is called may write there.
            self.taint(*argument);
        }
    }

    fn differs(&self, expression: Handle<Expression>) -> bool {
        self.differing.get(expression.index()) != Some(&false)
    }

    /// Notes that the variable that a pointer leads into, if it is one of this function, differs.
    fn taint(&mut self, pointer: Handle<Expression>) {
        let root = root(self.function, pointer);
        if let Expression::LocalVariable(variable) = self.function.expressions[root] {
            let variable: Handle<LocalVariable> = variable;
            raise(&mut self.known[self.at].variables[variable.index()], &mut self.changed);
        }
    }
}

fn raise(fact: &mut bool, changed: &mut bool) {
    *changed |= !std::mem::replace(fact, true);
}

#[cfg(test)]
mod tests;
