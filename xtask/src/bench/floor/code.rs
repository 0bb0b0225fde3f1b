//! BPF instructions, put together by hand.

pub const R0: u8 = 0;
pub const R1: u8 = 1;
pub const R2: u8 = 2;
pub const R3: u8 = 3;
pub const R4: u8 = 4;
pub const R6: u8 = 6;
pub const R7: u8 = 7;
/// The frame pointer.
pub const R10: u8 = 10;

/// A map, as the program knows it.
#[derive(Clone, Copy)]
pub struct Map(pub u32);

/// Helpers, by their numbers in <linux/bpf.h>.
#[derive(Clone, Copy)]
pub enum Helper {
    MapLookup = 1,
    MapUpdate = 2,
    MapDelete = 3,
    CurrentPidTgid = 14,
    StackId = 27,
    BootNs = 125,
}

/// What a jump goes by.
#[derive(Clone, Copy)]
pub enum When {
    /// All 64 bits are 0.
    Zero,
    /// The lower half is another number.
    LowerIsNot(i32),
    /// It is below 0.
    Negative,
    /// In any case.
    Always,
}

/// A jump whose end is not known yet.
#[must_use]
pub struct Jump(usize);

/// A program that is being written.
#[derive(Default)]
pub struct Code(Vec<u64>);

impl Code {
    /// `to = from`
    pub fn copy(&mut self, to: u8, from: u8) {
        self.push(0xbf, to, from, 0, 0);
    }

    /// `to = value`
    pub fn set(&mut self, to: u8, value: i32) {
        self.push(0xb7, to, 0, 0, value);
    }

    /// `to -= by`
    pub fn subtract(&mut self, to: u8, by: u8) {
        self.push(0x1f, to, by, 0, 0);
    }

    /// `to = r10 + offset`
    pub fn place(&mut self, to: u8, offset: i32) {
        self.copy(to, R10);
        self.push(0x07, to, 0, 0, offset);
    }

    /// `to = map`
    pub fn map(&mut self, to: u8, map: Map) {
        self.push(0x18, to, 1, 0, map.0.cast_signed());
        self.0.push(0);
    }

    /// `to = *(u64 *)(from + offset)`
    pub fn read(&mut self, to: u8, from: u8, offset: i16) {
        self.push(0x79, to, from, offset, 0);
    }

    /// `*(u64 *)(r10 + offset) = from`
    pub fn keep(&mut self, offset: i16, from: u8) {
        self.push(0x7b, R10, from, offset, 0);
    }

    /// `*(u32 *)(r10 + offset) = from`
    pub fn keep_half(&mut self, offset: i16, from: u8) {
        self.push(0x63, R10, from, offset, 0);
    }

    /// `*(u64 *)(r10 + offset) = 0`
    pub fn clear(&mut self, offset: i16) {
        self.push(0x7a, R10, 0, offset, 0);
    }

    /// `*(u64 *)(to + offset) += amount`, atomic.
    pub fn add(&mut self, to: u8, offset: i16, amount: u8) {
        self.push(0xdb, to, amount, offset, 0);
    }

    /// Calls a helper: R0 is what it gives, R1 to R5 are lost.
    pub fn call(&mut self, helper: Helper) {
        self.push(0x85, 0, 0, 0, helper as i32);
    }

    /// Jumps to where [`Self::land`] is called with it.
    pub fn jump(&mut self, register: u8, when: When) -> Jump {
        match when {
            When::Zero => self.push(0x15, register, 0, 0, 0),
            When::LowerIsNot(value) => self.push(0x56, register, 0, 0, value),
            When::Negative => self.push(0xc5, register, 0, 0, 0),
            When::Always => self.push(0x05, 0, 0, 0, 0),
        }
        Jump(self.0.len() - 1)
    }

    /// What follows is where the jump ends.
    pub fn land(&mut self, jump: Jump) {
        // Programs here are a few dozen instructions.
        let distance = (self.0.len() - jump.0 - 1) as u16;
        self.0[jump.0] |= u64::from(distance) << 16;
    }

    /// Ends the program with 0.
    pub fn end(mut self) -> Vec<u64> {
        self.set(R0, 0);
        self.push(0x95, 0, 0, 0, 0);
        self.0
    }

    /// An instruction as <linux/bpf.h> lays it out.
    fn push(&mut self, operation: u8, to: u8, from: u8, offset: i16, value: i32) {
        self.0.push(
            u64::from(operation)
                | u64::from(from) << 12
                | u64::from(to) << 8
                | u64::from(offset.cast_unsigned()) << 16
                | u64::from(value.cast_unsigned()) << 32,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_lie_as_the_kernel_expects() {
        let mut code = Code::default();
        code.set(R1, -2);
        code.keep(-8, R6);
        let code: Vec<[u8; 8]> = code.end().iter().map(|word| word.to_ne_bytes()).collect();
        assert_eq!(code[..2], [[0xb7, 1, 0, 0, 0xfe, 0xff, 0xff, 0xff], [0x7b, 0x6a, 0xf8, 0xff, 0, 0, 0, 0]]);
        assert_eq!(code[2..], [[0xb7, 0, 0, 0, 0, 0, 0, 0], [0x95, 0, 0, 0, 0, 0, 0, 0]]);
    }

    #[test]
    fn a_jump_skips_what_lies_between_it_and_its_end() {
        let mut code = Code::default();
        let jump = code.jump(R0, When::Zero);
        code.map(R1, Map(3));
        code.set(R2, 1);
        code.land(jump);
        // Three instructions, of which the first is two words.
        assert_eq!(code.end()[0].to_ne_bytes(), [0x15, 0, 3, 0, 0, 0, 0, 0]);
    }
}
