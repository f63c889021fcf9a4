//! Kernels for UEFI, changed without a change of their size: each section stays where it is.

/// One that panics, for it finds no program to start, and restarts after a second.
pub fn that_panics(kernel: &[u8]) -> Vec<u8> {
    let (from, to) = (b"quiet loglevel=3 panic=30", b"rdinit=/nothing_ panic=01");
    let places: Vec<usize> =
        kernel.windows(from.len()).enumerate().filter(|(_, at)| *at == from).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "the kernel has no such command line");
    let mut kernel = kernel.to_vec();
    for at in places {
        kernel[at..at + to.len()].copy_from_slice(to);
    }
    kernel
}
