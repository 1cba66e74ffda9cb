//! An allocator that only ever goes on: a call's memory is thrown away when it ends.

#[cfg(target_arch = "wasm32")]
mod bump {
    use core::{
        alloc::{GlobalAlloc, Layout},
        arch::wasm32::{memory_grow, memory_size},
        cell::UnsafeCell,
        ptr::null_mut,
    };

    const PAGE_BYTES: usize = 65_536;

    struct Bump(UnsafeCell<usize>);

    // A contract has one thread.
    unsafe impl Sync for Bump {}

    unsafe impl GlobalAlloc for Bump {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            let next = unsafe { &mut *self.0.get() };
            if *next == 0 {
                // Memory after what the linker laid out is new.
                *next = memory_size(0) * PAGE_BYTES;
            }
            let start = next.next_multiple_of(layout.align());
            let Some(end) = start.checked_add(layout.size()) else { return null_mut() };
            let missing = end.saturating_sub(memory_size(0) * PAGE_BYTES);
            if missing > 0 && memory_grow(0, missing.div_ceil(PAGE_BYTES)) == usize::MAX {
                return null_mut();
            }
            *next = end;
            start as *mut u8
        }

        unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
    }

    #[global_allocator]
    static MEMORY: Bump = Bump(UnsafeCell::new(0));

    #[panic_handler]
    fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
        core::arch::wasm32::unreachable()
    }
}
