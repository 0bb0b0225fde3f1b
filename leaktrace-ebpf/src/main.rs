//! The kernel side of leaktrace: hooks that keep one record for each open socket, and iterators that read
//! the sockets themselves. No event leaves the kernel for a connection; see [`lifecycle`] and [`passes`].
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod callsites;
mod clock;
mod constants;
mod copies;
mod hooks;
mod kernel;
mod lifecycle;
mod maps;
mod memory;
mod passes;
mod records;
mod sampling;
mod stack;
mod tree;

#[cfg(not(test))]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // The verifier would refuse a program from which this could be reached.
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
