//! Feed one target, named by `NEURA_FUZZ_TARGET`, under libFuzzer. `scripts/fuzz` builds and runs it.
#![no_main]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::LazyLock,
};

use libfuzzer_sys::fuzz_target;
use neura_fuzz::{MAX_ALLOCATED_BYTES, Target, find};

/// The system's allocator; ends the process where an input makes a target ask for more at once than its bound.
struct Bounded;

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn check(size: usize) {
    if size > MAX_ALLOCATED_BYTES {
        // Nothing that allocates: this is the allocator.
        std::process::abort();
    }
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        check(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, place: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        check(size);
        unsafe { System.realloc(place, layout, size) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        unsafe { System.dealloc(place, layout) }
    }
}

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("NEURA_FUZZ_TARGET").expect("NEURA_FUZZ_TARGET names the target");
    find(&name).unwrap_or_else(|| panic!("there is no target '{name}'"))
});

fuzz_target!(|bytes: &[u8]| (TARGET.run)(bytes));
