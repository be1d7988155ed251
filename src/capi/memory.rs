//! Memory that may be refused: a heap that answers "no" is a status, and a handle may live in memory of the caller's.

use super::fault::Fault;
use super::guard::aligned_to;
use bytemuck::Pod;
use core::ptr::NonNull;

/// Numbers in a block of the heap, or in memory of the caller's.
pub(super) struct Block<T: Pod> {
    pointer: NonNull<T>,
    count: usize,
    #[cfg(feature = "alloc")]
    on_heap: bool,
}

/// The words a decoder works in.
pub(super) type Words = Block<u64>;

impl<T: Pod> Block<T> {
    /// Zeros from the heap.
    #[cfg(feature = "alloc")]
    pub fn allocate(count: usize) -> Result<Self, Fault> {
        if count == 0 {
            return Ok(Block { pointer: NonNull::dangling(), count, on_heap: false });
        }
        let refused = || Fault::OutOfMemory { bytes: count.saturating_mul(size_of::<T>()) };
        let layout = core::alloc::Layout::array::<T>(count).map_err(|_| refused())?;
        // SAFETY: the layout has a size above 0: neither the count nor the size of a number is 0.
        let block = unsafe { alloc::alloc::alloc_zeroed(layout) };
        let pointer = NonNull::new(block.cast::<T>()).ok_or_else(refused)?;
        Ok(Block { pointer, count, on_heap: true })
    }

    /// Numbers of the caller's, as they are.
    ///
    /// # Safety
    /// `pointer` is aligned and points to `count` initialised numbers that are this value's alone while it lives.
    pub unsafe fn borrow(pointer: NonNull<T>, count: usize) -> Self {
        Block {
            pointer,
            count,
            #[cfg(feature = "alloc")]
            on_heap: false,
        }
    }

    /// Memory of the caller's, which becomes zeros.
    ///
    /// # Safety
    /// `pointer` is aligned and points to room for `count` numbers that is this value's alone while it lives.
    pub unsafe fn borrow_zeroed(pointer: NonNull<T>, count: usize) -> Self {
        // SAFETY: the room is ours by the caller's word; it may be uninitialised, so it is written before any use.
        unsafe {
            pointer.write_bytes(0, count);
            Self::borrow(pointer, count)
        }
    }

    /// Where they are, for the caller to write.
    pub fn as_mut_ptr(&mut self) -> *mut T {
        self.pointer.as_ptr()
    }

    /// Whether they came from the heap.
    #[cfg(feature = "alloc")]
    pub fn is_on_heap(&self) -> bool {
        self.on_heap
    }
}

impl<T: Pod> AsRef<[T]> for Block<T> {
    fn as_ref(&self) -> &[T] {
        // SAFETY: initialised numbers that are this value's alone, by its constructors.
        unsafe { core::slice::from_raw_parts(self.pointer.as_ptr(), self.count) }
    }
}

impl<T: Pod> AsMut<[T]> for Block<T> {
    fn as_mut(&mut self) -> &mut [T] {
        // SAFETY: initialised numbers that are this value's alone, by its constructors.
        unsafe { core::slice::from_raw_parts_mut(self.pointer.as_ptr(), self.count) }
    }
}

#[cfg(feature = "alloc")]
impl<T: Pod> Drop for Block<T> {
    fn drop(&mut self) {
        if self.on_heap
            && let Ok(layout) = core::alloc::Layout::array::<T>(self.count)
        {
            // SAFETY: `allocate` got the block with this very layout.
            unsafe { alloc::alloc::dealloc(self.pointer.as_ptr().cast(), layout) };
        }
    }
}

/// Where a handle lives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Home {
    /// In a block of the heap.
    #[cfg(feature = "alloc")]
    Heap,
    /// In memory that the caller gave.
    Caller,
}

/// Puts a handle on the heap.
#[cfg(feature = "alloc")]
pub(super) fn place_on_heap<T>(value: T) -> Result<*mut T, Fault> {
    let layout = core::alloc::Layout::new::<T>();
    // SAFETY: no handle has size 0.
    let block = unsafe { alloc::alloc::alloc(layout) }.cast::<T>();
    if block.is_null() {
        return Err(Fault::OutOfMemory { bytes: layout.size() });
    }
    // SAFETY: a fresh block of T's layout.
    unsafe { block.write(value) };
    Ok(block)
}

/// Ends a handle and gives its block back if it was on the heap.
///
/// # Safety
/// `handle` was made by `place_on_heap`, or written into the caller's memory if `home` says so; nobody uses it any more.
pub(super) unsafe fn end<T>(handle: *mut T, home: Home) {
    // SAFETY: a live value nobody uses any more, by the caller's word.
    unsafe { handle.drop_in_place() };
    match home {
        Home::Caller => {}
        #[cfg(feature = "alloc")]
        // SAFETY: the block was allocated with this layout by `place_on_heap`.
        Home::Heap => unsafe { alloc::alloc::dealloc(handle.cast(), core::alloc::Layout::new::<T>()) },
    }
}

/// Refuses memory of the caller's that is NULL, misaligned or smaller than `needed` bytes.
pub(super) fn check_memory(memory: *mut core::ffi::c_void, given: usize, needed: usize) -> Result<(), Fault> {
    if memory.is_null() {
        return Err(Fault::Null("memory"));
    }
    aligned_to(memory.cast_const(), super::abi::ARGPICK_MEMORY_ALIGNMENT as usize, "memory")?;
    if given < needed {
        return Err(Fault::MemoryTooSmall { needed, given });
    }
    Ok(())
}
