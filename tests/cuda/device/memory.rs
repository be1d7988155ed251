//! Device memory for the tests: the GPU's, or the host's where the device code was built for the host.

/// So many bytes of device memory, aligned to 256.
pub struct Memory {
    pub address: u64,
    pub bytes: usize,
}

impl Memory {
    pub fn new(bytes: usize) -> Memory {
        Memory { address: system::allocate(bytes.max(256)), bytes }
    }

    pub fn of(bytes: &[u8]) -> Memory {
        let memory = Memory::new(bytes.len());
        system::write(memory.address, bytes);
        memory
    }

    pub fn write(&self, bytes: &[u8]) {
        assert!(bytes.len() <= self.bytes);
        system::write(self.address, bytes);
    }

    /// Waits for everything that was queued, and copies.
    pub fn read(&self, bytes: &mut [u8]) {
        assert!(bytes.len() <= self.bytes);
        system::read(self.address, bytes);
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        system::free(self.address, self.bytes.max(256));
    }
}

#[cfg(not(argpick_cuda_host))]
mod system {
    use std::ffi::c_void;

    const TO_DEVICE: i32 = 1;
    const TO_HOST: i32 = 2;

    // CUDA's runtime, which is linked with the library.
    unsafe extern "C" {
        fn cudaMalloc(pointer: *mut *mut c_void, bytes: usize) -> i32;
        fn cudaFree(pointer: *mut c_void) -> i32;
        fn cudaMemcpy(to: *mut c_void, from: *const c_void, bytes: usize, kind: i32) -> i32;
    }

    pub fn allocate(bytes: usize) -> u64 {
        let mut pointer = std::ptr::null_mut();
        // SAFETY: a place for a pointer.
        let failed = unsafe { cudaMalloc(&raw mut pointer, bytes) };
        assert_eq!(failed, 0, "cudaMalloc of {bytes} bytes");
        pointer as u64
    }

    pub fn free(address: u64, _: usize) {
        // SAFETY: `allocate` has made it.
        unsafe { cudaFree(address as *mut c_void) };
    }

    pub fn write(address: u64, bytes: &[u8]) {
        // SAFETY: the caller has compared the lengths.
        let failed = unsafe { cudaMemcpy(address as *mut c_void, bytes.as_ptr().cast(), bytes.len(), TO_DEVICE) };
        assert_eq!(failed, 0, "cudaMemcpy to the device");
    }

    pub fn read(address: u64, bytes: &mut [u8]) {
        // SAFETY: the caller has compared the lengths.
        let failed = unsafe { cudaMemcpy(bytes.as_mut_ptr().cast(), address as *const c_void, bytes.len(), TO_HOST) };
        assert_eq!(failed, 0, "cudaMemcpy from the device, or what was launched before");
    }
}

#[cfg(argpick_cuda_host)]
mod system {
    use std::alloc::{Layout, alloc, dealloc};

    fn layout(bytes: usize) -> Layout {
        Layout::from_size_align(bytes, 256).expect("a size")
    }

    pub fn allocate(bytes: usize) -> u64 {
        // SAFETY: the size is not 0.
        let pointer = unsafe { alloc(layout(bytes)) };
        assert!(!pointer.is_null(), "{bytes} bytes");
        // Like a GPU's memory it is not empty.
        // SAFETY: so many bytes were allocated.
        unsafe { pointer.write_bytes(0xA5, bytes) };
        pointer as u64
    }

    pub fn free(address: u64, bytes: usize) {
        // SAFETY: `allocate` has made it with this layout.
        unsafe { dealloc(address as *mut u8, layout(bytes)) };
    }

    pub fn write(address: u64, bytes: &[u8]) {
        // SAFETY: the caller has compared the lengths.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
    }

    pub fn read(address: u64, bytes: &mut [u8]) {
        // SAFETY: the caller has compared the lengths.
        unsafe { std::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len()) };
    }
}
