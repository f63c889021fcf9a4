//! Kernels for UEFI, changed without a change of their size: each section stays where it is.

/// One that panics, for it finds no program to start, and restarts after a second.
pub fn that_panics(kernel: &[u8]) -> Vec<u8> {
    changed(kernel, "quiet loglevel=3 panic=30", "rdinit=/nothing_ panic=01")
}

/// The same, of another version, by what systemd-boot reads of it.
pub fn of_version(kernel: &[u8], from: &str, to: &str) -> Vec<u8> {
    changed(kernel, &format!("IMAGE_VERSION={from}\n"), &format!("IMAGE_VERSION={to}\n"))
}

/// Has one text in place of another, wherever that is.
fn changed(kernel: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len(), "a section keeps its size");
    let places: Vec<usize> = kernel
        .windows(from.len())
        .enumerate()
        .filter(|(_, at)| *at == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty(), "{from} is nowhere in the kernel");
    let mut kernel = kernel.to_vec();
    for at in places {
        kernel[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    kernel
}
