//! Memory of this process: what is allocated, and a cap in helpers.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

/// The system's allocator, with a count. The program installs it as its global allocator: then the caches of a helper are as large as they
/// say, and a file that makes a helper allocate without end ends the helper at its cap.
pub struct CountingAllocator;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static CAP: AtomicUsize = AtomicUsize::new(usize::MAX);

/// Bytes that are allocated now. 0 in a program that has another allocator.
pub(crate) fn allocated() -> usize {
    ALLOCATED.load(Relaxed)
}

/// Allocates no more than this from now on. A request beyond it fails, which ends the process.
pub(crate) fn cap(bytes: usize) {
    CAP.store(bytes, Relaxed);
}

/// Counts bytes that are about to be allocated. False if they are too many.
fn take(bytes: usize) -> bool {
    let before = ALLOCATED.fetch_add(bytes, Relaxed);
    let fits = before.saturating_add(bytes) <= CAP.load(Relaxed);
    if !fits {
        give(bytes);
    }
    fits
}

fn give(bytes: usize) {
    ALLOCATED.fetch_sub(bytes, Relaxed);
}

// SAFETY: every call is passed on to the system's allocator unchanged, or refused.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        let memory = unsafe { System.alloc(layout) };
        if memory.is_null() {
            give(layout.size());
        }
        memory
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if !take(layout.size()) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        let memory = unsafe { System.alloc_zeroed(layout) };
        if memory.is_null() {
            give(layout.size());
        }
        memory
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(memory, layout) };
        give(layout.size());
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let more = new_size.saturating_sub(layout.size());
        if !take(more) {
            return std::ptr::null_mut();
        }
        // SAFETY: as the caller promises.
        let moved = unsafe { System.realloc(memory, layout, new_size) };
        if moved.is_null() {
            give(more);
        } else {
            give(layout.size().saturating_sub(new_size));
        }
        moved
    }
}
