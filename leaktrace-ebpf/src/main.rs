//! The kernel side of leaktrace.
//!
//! Hooks ([`hooks`]) keep one record for each open socket ([`records`]) and count opens and closes at call sites ([`callsites`]).
//! Passes ([`passes`]) read the sockets themselves when user space starts them. No message is sent for a connection.
//!
//! Imports point one way: hooks and passes → [`lifecycle`] → [`records`], [`callsites`] → [`maps`] → the types of map values.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod abi;
mod atomic;
mod callsites;
mod clock;
mod constants;
mod copies;
mod counters;
mod duplicates;
mod fields;
mod hooks;
mod lifecycle;
mod losses;
mod map_values;
mod maps;
mod memory;
mod passes;
mod protocol;
mod records;
mod sampling;
mod stack;
mod task;
mod tree;
mod verifier;
mod window;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // Never reached: the verifier would reject a program that could get here.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
