//! The program: everything is in the library, but for how memory is given back.

use std::alloc::System;
use std::process::ExitCode;

use zeroizing_alloc::ZeroAlloc;

/// Whatever is freed is wiped first: messages of a call that is over, and the number in them, are
/// in no memory image, no swap and no later allocation. (A growing buffer is moved, never grown in
/// place, so that no copy stays behind.)
#[global_allocator]
static MEMORY: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    koebashi::cli::main()
}
