//! What a child gives up before it parses a document: memory, files, network.

use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset,
    RulesetAttr, RulesetCreatedAttr, RulesetStatus,
};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Limits the calling process for good and says what holds. The document and the library are
/// open already; only font folders can be read afterwards, nothing can be written, no TCP.
/// Where the kernel has no Landlock the limits on memory and files hold alone.
pub fn enter(memory_mb: u64) -> String {
    let limit = |resource, value| {
        setrlimit(
            resource,
            Rlimit {
                current: Some(value),
                maximum: Some(value),
            },
        )
        .is_ok()
    };
    let memory = limit(Resource::As, memory_mb << 20);
    let cores = limit(Resource::Core, 0);
    let files = limit(Resource::Nofile, 64);
    let landlock = match landlock() {
        Ok(RulesetStatus::FullyEnforced) => "landlock",
        Ok(RulesetStatus::PartiallyEnforced) => "landlock (in part)",
        Ok(RulesetStatus::NotEnforced) | Err(_) => "no landlock",
    };
    format!(
        "{landlock}, {}",
        if memory && cores && files {
            format!("{memory_mb} MiB")
        } else {
            "limits refused".to_owned()
        }
    )
}

fn landlock() -> Result<RulesetStatus, landlock::RulesetError> {
    let abi = ABI::V4;
    let mut ruleset = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(abi))?
        .handle_access(AccessNet::from_all(abi))?
        .create()?;
    for fonts in ["/usr/share/fonts", "/usr/local/share/fonts", "/etc/fonts"] {
        if let Ok(fd) = PathFd::new(fonts) {
            ruleset = ruleset.add_rule(PathBeneath::new(fd, AccessFs::from_read(abi)))?;
        }
    }
    Ok(ruleset.restrict_self()?.ruleset)
}
