//! Refuse a barrier that some invocations of a workgroup may come to and others not.
//!
//! WGSL demands that all of them come there together (uniform control flow), and naga does not check it: on a GPU those
//! that came would wait for ever, or go on too early. Here, as in WGSL, a value *differs* between invocations if it
//! follows from their ids, from memory that kernels write, or from a variable that was last set to such a value or where
//! not all come; and invocations *part* at a branch on such a value, until its end, or where some of them left a loop,
//! until the loop's, or the function, for good. A function is looked at twice: as it is called by all invocations with the
//! same arguments, and as all its other calls together call it. What is accepted is right; `workgroupUniformLoad` makes a
//! value common again.

use std::collections::BTreeSet;

use wgpu::naga::{
    AddressSpace, Binding, Block, BuiltIn, Expression, Function, Handle, Module, Span, Statement,
    StorageAccess, TypeInner,
};

use super::KernelError;

/// What is known of a function in one of the two ways to call it; whatever is true stays so.
#[derive(Debug, Default)]
struct Known {
    /// It is called where not all invocations come.
    entered_apart: bool,
    /// Arguments that differ.
    arguments: Vec<bool>,
    /// Its loops, in the order of the source.
    loops: Vec<Turns>,
    /// Its result differs.
    result: bool,
}

/// What is known of a loop.
#[derive(Debug, Default)]
struct Turns {
    /// Not all invocations go through it equally often.
    part: bool,
    /// Variables that differ where one of its turns begins.
    differing: BTreeSet<usize>,
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
    // Each twice: called alike by all invocations, and otherwise.
    let functions = module.functions.iter().flat_map(|(_, function)| [(function, false); 2]);
    let functions: Vec<(&Function, bool)> = functions.chain(entries).collect();
    let known = |(function, is_entry): &(&Function, bool)| Known {
        arguments: vec![*is_entry; function.arguments.len()],
        ..Known::default()
    };
    let mut known: Vec<Known> = functions.iter().map(known).collect();
    let mut changed = true;
    while changed {
        changed = false;
        // Callers stand after what they call: from them arguments are known.
        for (at, (function, _)) in functions.iter().enumerate().rev() {
            let mut walk = Walk {
                source,
                module,
                function,
                at,
                known: &mut known,
                differing: Vec::with_capacity(function.expressions.len()),
                variables: vec![false; function.local_variables.len()],
                log: Vec::new(),
                loops: 0,
                changed,
            };
            for (expression, _) in function.expressions.iter() {
                let differs = walk.found(expression);
                walk.differing.push(differs);
            }
            let entered_apart = walk.known[at].entered_apart;
            walk.block(&function.body, entered_apart)?;
            changed = walk.changed;
        }
    }
    Ok(())
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
    module: &'a Module,
    function: &'a Function,
    /// Its place in what is known.
    at: usize,
    known: &'a mut Vec<Known>,
    /// Expressions that differ, as they were evaluated last.
    differing: Vec<bool>,
    /// Variables that differ now.
    variables: Vec<bool>,
    /// Variables that began or ceased to differ, in the order of the source.
    log: Vec<usize>,
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
            Statement::Emit(range) => {
                for expression in range.clone() {
                    self.differing[expression.index()] = self.found(expression);
                }
                stays
            }
            Statement::If { condition, accept, reject } => {
                let (apart, before) = (apart || self.differs(*condition), self.log.len());
                let leaving = self.block(accept, apart)?;
                self.join(before);
                let leaving = leaving.and(self.block(reject, apart)?);
                self.join(before);
                leaving
            }
            Statement::Switch { selector, cases } => {
                let (apart, before) = (apart || self.differs(*selector), self.log.len());
                let mut leaving = stays;
                for case in cases {
                    leaving = leaving.and(self.block(&case.body, apart || leaving.any())?);
                    self.join(before);
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
                } else if let Expression::LocalVariable(variable) =
                    self.function.expressions[*pointer]
                {
                    self.set(variable.index(), false);
                }
                stays
            }
            Statement::Call { function, arguments, result } => {
                let differs = self.call(function.index(), arguments, apart);
                if let Some(result) = result {
                    self.differing[result.index()] = differs;
                }
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
        if loops.len() == number {
            loops.push(Turns::default());
        }
        let before = self.log.len();
        let apart = apart || loops[number].part;
        for variable in loops[number].differing.clone() {
            self.set(variable, true);
        }
        let leaving = self.block(body, apart)?;
        self.join(before);
        let leaving = leaving.and(self.block(continuing, apart || leaving.any())?);
        let known = &mut self.known[self.at].loops[number];
        if leaving.any() || break_if.is_some_and(|condition| self.differing[condition.index()]) {
            raise(&mut known.part, &mut self.changed);
        }
        for variable in &self.log[before..] {
            self.changed |= known.differing.insert(*variable);
        }
        self.join(before);
        Ok(Leaving { returns: leaving.returns, ..Leaving::default() })
    }

    /// Whether the result differs.
    fn call(&mut self, called: usize, arguments: &[Handle<Expression>], apart: bool) -> bool {
        let (alike, otherwise) = (2 * called, 2 * called + 1);
        let differ = arguments.iter().any(|argument| self.differs(*argument));
        if apart {
            raise(&mut self.known[otherwise].entered_apart, &mut self.changed);
        }
        for (place, argument) in arguments.iter().enumerate() {
            if self.differs(*argument) {
                raise(&mut self.known[otherwise].arguments[place], &mut self.changed);
            }
            // What is called may write there.
            self.taint(*argument);
        }
        self.known[if differ { otherwise } else { alike }].result
    }

    /// Whether an expression differs that is evaluated now.
    fn found(&self, expression: Handle<Expression>) -> bool {
        let (module, function) = (self.module, self.function);
        let differs = |operand: &Handle<Expression>| self.differs(*operand);
        let some = |operand: &Option<Handle<Expression>>| operand.as_ref().is_some_and(differs);
        match &function.expressions[expression] {
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
                !common && self.known[self.at].arguments.get(argument) != Some(&false)
            }
            Expression::AccessIndex { base, index } => {
                differs(base) && !is_common_member(module, function, *base, *index)
            }
            Expression::Access { base, index } => differs(base) || differs(index),
            Expression::Load { pointer } => differs(pointer) || self.memory_differs(*pointer),
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
        }
    }

    /// Whether what lies where a pointer leads differs, if the pointer does not.
    fn memory_differs(&self, pointer: Handle<Expression>) -> bool {
        match self.function.expressions[root(self.function, pointer)] {
            Expression::LocalVariable(variable) => self.variables[variable.index()],
            Expression::GlobalVariable(variable) => {
                match self.module.global_variables[variable].space {
                    AddressSpace::Uniform => false,
                    AddressSpace::Storage { access } => access != StorageAccess::LOAD,
                    _ => true,
                }
            }
            _ => true,
        }
    }

    fn differs(&self, expression: Handle<Expression>) -> bool {
        self.differing.get(expression.index()) != Some(&false)
    }

    fn set(&mut self, variable: usize, differs: bool) {
        if std::mem::replace(&mut self.variables[variable], differs) != differs {
            self.log.push(variable);
        }
    }

    /// Where ways meet, a variable differs that did so on one of them, since the log was so long.
    fn join(&mut self, before: usize) {
        for variable in &self.log[before..] {
            self.variables[*variable] = true;
        }
    }

    /// Notes that the variable that a pointer leads into, if it is one of this function, differs.
    fn taint(&mut self, pointer: Handle<Expression>) {
        let root = root(self.function, pointer);
        if let Expression::LocalVariable(variable) = self.function.expressions[root] {
            self.set(variable.index(), true);
        }
    }
}

fn raise(fact: &mut bool, changed: &mut bool) {
    *changed |= !std::mem::replace(fact, true);
}

#[cfg(test)]
mod tests;
