use std::process::ExitCode;

fn main() -> ExitCode {
    dropleaf::cli::main()
}
