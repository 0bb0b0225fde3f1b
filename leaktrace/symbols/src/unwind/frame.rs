//! One step of a walk: computes the caller's registers from those of a frame, by the rules of an unwind table.
//!
//! Must not guess: a register without a known value stays unknown, and a rule that needs it ends the walk.

use super::stack::Stack;
use super::table::{Entry, Reader};
use gimli::{
    CfaRule, Encoding, Evaluation, EvaluationResult, Expression, Location, Register, RegisterRule, UnwindExpression,
    Value, X86_64,
};
use leaktrace_model::WalkEnd;

/// Most operations of one DWARF expression.
const MAX_OPERATIONS: u32 = 256;

/// Registers of a frame, by DWARF number. The last is the column of the return address; here it is the frame's own address.
#[derive(Clone, Debug)]
pub(super) struct Registers([Option<u64>; 17]);

/// Registers that a function must preserve for its caller, by the x86-64 ABI.
const KEPT: [Register; 6] = [X86_64::RBX, X86_64::RBP, X86_64::R12, X86_64::R13, X86_64::R14, X86_64::R15];

impl Registers {
    /// Registers of a leaf. Only these three are known.
    pub(super) fn new(ip: u64, sp: u64, bp: u64) -> Self {
        let mut registers = Self([None; 17]);
        registers.set(X86_64::RA, Some(ip));
        registers.set(X86_64::RSP, Some(sp));
        registers.set(X86_64::RBP, Some(bp));
        registers
    }

    pub(super) fn get(&self, register: Register) -> Option<u64> {
        self.0.get(usize::from(register.0)).copied().flatten()
    }

    pub(super) fn set(&mut self, register: Register, value: Option<u64>) {
        if let Some(place) = self.0.get_mut(usize::from(register.0)) {
            *place = value;
        }
    }

    pub(super) fn ip(&self) -> u64 {
        self.get(X86_64::RA).unwrap_or_default()
    }

    pub(super) fn sp(&self) -> u64 {
        self.get(X86_64::RSP).unwrap_or_default()
    }

    /// Registers of the caller; `None` when the table says that there is no caller.
    pub(super) fn caller(&self, entry: &Entry<'_, '_>, stack: &Stack<'_>) -> Result<Option<Self>, WalkEnd> {
        let encoding = entry.fde.cie().encoding();
        let cfa = match entry.row.cfa() {
            CfaRule::RegisterAndOffset { register, offset } => {
                self.get(*register).ok_or(WalkEnd::UnknownRegister)?.wrapping_add_signed(*offset)
            }
            CfaRule::Expression(expression) => {
                self.evaluate(expression_of(expression, entry)?, encoding, None, stack)?
            }
        };
        let mut caller = Self([None; 17]);
        for register in KEPT {
            caller.set(register, self.get(register));
        }
        for (register, rule) in entry.row.registers() {
            let value = self.recover(rule, cfa, entry, stack);
            match (*register, value) {
                (X86_64::RA, Err(why)) => return Err(why),
                (register, value) => caller.set(register, value.ok().flatten()),
            }
        }
        // The caller's stack pointer is the CFA. Only a signal frame saves and restores another one.
        if !entry.is_signal || caller.get(X86_64::RSP).is_none() {
            caller.set(X86_64::RSP, Some(cfa));
        }
        match entry.row.register(X86_64::RA) {
            None | Some(RegisterRule::Undefined) => Ok(None),
            Some(_) if caller.get(X86_64::RA) == Some(0) => Ok(None),
            Some(_) => Ok(Some(caller)),
        }
    }

    /// Registers of the caller of a Go function, whose return address is `size` bytes above the stack pointer. Go functions
    /// preserve only `rbp`: a function with a frame saves it right below its return address.
    pub(super) fn go_caller(&self, size: u64, stack: &Stack<'_>) -> Result<Self, WalkEnd> {
        let return_at = self.sp().checked_add(size).ok_or(WalkEnd::OffStack)?;
        let mut caller = Self([None; 17]);
        let bp = if size >= 8 { stack.word(return_at - 8).ok() } else { self.get(X86_64::RBP) };
        caller.set(X86_64::RBP, bp);
        caller.set(X86_64::RA, Some(stack.word(return_at)?));
        caller.set(X86_64::RSP, return_at.checked_add(8));
        Ok(caller)
    }

    fn recover(
        &self,
        rule: &RegisterRule<usize>,
        cfa: u64,
        entry: &Entry<'_, '_>,
        stack: &Stack<'_>,
    ) -> Result<Option<u64>, WalkEnd> {
        let encoding = entry.fde.cie().encoding();
        match rule {
            RegisterRule::Offset(offset) => stack.word(cfa.wrapping_add_signed(*offset)).map(Some),
            RegisterRule::ValOffset(offset) => Ok(Some(cfa.wrapping_add_signed(*offset))),
            RegisterRule::Register(register) => Ok(self.get(*register)),
            RegisterRule::Expression(expression) => {
                stack.word(self.evaluate(expression_of(expression, entry)?, encoding, Some(cfa), stack)?).map(Some)
            }
            RegisterRule::ValExpression(expression) => {
                self.evaluate(expression_of(expression, entry)?, encoding, Some(cfa), stack).map(Some)
            }
            // SameValue is used only for preserved registers, which are copied above. The other rules give no value.
            _ => Ok(None),
        }
    }

    fn evaluate(
        &self,
        expression: Expression<Reader<'_>>,
        encoding: Encoding,
        initial: Option<u64>,
        stack: &Stack<'_>,
    ) -> Result<u64, WalkEnd> {
        let mut evaluation = Evaluation::new(expression.0, encoding);
        evaluation.set_max_iterations(MAX_OPERATIONS);
        if let Some(cfa) = initial {
            evaluation.set_initial_value(cfa);
        }
        let mut result = evaluation.evaluate();
        loop {
            result = match result.map_err(|_| WalkEnd::BadTable)? {
                EvaluationResult::Complete => break,
                EvaluationResult::RequiresRegister { register, .. } => {
                    let value = self.get(register).ok_or(WalkEnd::UnknownRegister)?;
                    evaluation.resume_with_register(Value::Generic(value))
                }
                EvaluationResult::RequiresMemory { address, size: 8, .. } => {
                    evaluation.resume_with_memory(Value::Generic(stack.word(address)?))
                }
                _ => return Err(WalkEnd::BadTable),
            };
        }
        match evaluation.as_result().last().map(|piece| piece.location) {
            Some(Location::Address { address }) => Ok(address),
            _ => Err(WalkEnd::BadTable),
        }
    }
}

fn expression_of<'t>(
    expression: &UnwindExpression<usize>,
    entry: &Entry<'t, '_>,
) -> Result<Expression<Reader<'t>>, WalkEnd> {
    expression.get(&entry.section).map_err(|_| WalkEnd::BadTable)
}
