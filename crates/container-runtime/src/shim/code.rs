//! The pages of program code a shim has touched: let go while it waits, since it waits nearly always.

use std::ffi::c_void;

/// The mapped code of the executable and its libraries.
pub(super) struct Code(Vec<(usize, usize)>);

impl Code {
    pub(super) fn mapped() -> Self {
        let text = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
        let code = text.lines().filter(|line| line.contains(" r-xp ") && line.contains('/'));
        Self(code.filter_map(range).collect())
    }

    /// Unmaps the pages; the kernel keeps them in its cache and maps again what is used again.
    pub(super) fn forget(&self) {
        for (start, end) in &self.0 {
            // SAFETY: the range is private, unwritten and backed by a file, so dropped pages read the same again. That
            // it does not help is no harm.
            unsafe { libc::madvise(*start as *mut c_void, end - start, libc::MADV_DONTNEED) };
        }
    }
}

fn range(line: &str) -> Option<(usize, usize)> {
    let (start, end) = line.split(' ').next()?.split_once('-')?;
    Some((usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?))
}
